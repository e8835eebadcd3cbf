"""Whether a checkpoint folder is whole, and what a model needs of memory."""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Container
from importlib import import_module
from pathlib import Path

import torch

from .errors import WeightsError
from .load import check_keys
from .read import read_shapes
from .shapes import shapes_of

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
WEIGHT_NAMES = ("diffusion_pytorch_model.safetensors", "model.safetensors")


def check_folder(folder: str | Path, skip: Container[str] = ()) -> list[tuple[str, int, int]]:
    """Compare every part's file with its configuration, key by key; -> [(part, parameters, bytes)].

    Only the headers of the files are read. Parts in `skip` are somebody else's business.
    """
    folder = Path(folder)
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(f"{folder} is no checkpoint: model_index.json is missing.") from error
    except ValueError as error:
        raise WeightsError(f"{folder / 'model_index.json'} is not JSON; convert or fetch the model again.") from error
    base = (index.get("provenance") or {}).get("base") or {}  # of a system that leans on another checkpoint
    rows = []
    for part, entry in index.items():
        if not isinstance(entry, list) or part in skip or not (folder / part).is_dir():
            continue
        kind = known_class(part, *entry)
        if not issubclass(kind, torch.nn.Module):
            continue  # tokenizer, scheduler
        if any((folder / part).glob("*.index.json")):
            continue  # in several files, which the libraries join
        file = next((folder / part / n for n in WEIGHT_NAMES if (folder / part / n).is_file()), None)
        if file is None:
            raise WeightsError(f"{folder / part} has no weights ({' or '.join(WEIGHT_NAMES)}).")
        given = read_shapes(file)
        if part == "unet" and base.get("shared_unet"):
            given |= read_shapes(folder.parent / "shared" / "unet" / file.name)
        wanted = shapes_of(_empty(kind, folder / part).state_dict())
        tied = {key for key in wanted.keys() - given.keys() if key == "encoder.embed_tokens.weight"}
        check_keys({k: v for k, v in wanted.items() if k not in tied}, given, part, file)
        rows.append((part, sum(math.prod(shape) for shape in given.values()), file.stat().st_size))
    return rows


def known_class(part: str, library: str, name: str) -> type:
    """The class of a part. A folder may come from strangers: only these libraries are asked, nothing is imported
    because a file says so."""
    if library not in ("diffusers", "transformers") and not library.startswith("stav2a."):
        raise WeightsError(f"The part {part} is of {library}, which is no library of this project; it is not loaded.")
    kind = getattr(import_module(library), name, None)
    if not isinstance(kind, type):
        raise WeightsError(f"The part {part} is of the class {library}.{name}, which does not exist here.")
    return kind


def _empty(kind: type, folder: Path) -> torch.nn.Module:
    """A part of this configuration without memory for its weights."""
    config_class = getattr(kind, "config_class", None)
    with torch.device("meta"):
        if config_class is not None:  # transformers
            return kind(config_class.from_pretrained(folder))
        return kind.from_config(kind.load_config(folder))


def memory_table(name: str, dtypes: tuple[str, ...] = tuple(DTYPES)) -> list[dict]:
    """Weights and peak memory by dtype on this processor, each in a process of its own."""
    rows = []
    for dtype in dtypes:
        command = [sys.executable, "-m", __name__, str(name), dtype]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            raise WeightsError(
                f"The model {name} cannot be measured in {dtype}: {lines[-1] if lines else 'it broke off'}."
            )
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    return rows


def processor_runs(dtype: torch.dtype) -> bool:
    """Whether matrices of this type are fast on this CPU; without its instructions bf16 is hundreds of times slower."""
    if dtype == torch.float32:
        return True
    flags = torch.cpu.get_capabilities()
    names = ("amx_bf16", "avx512_bf16") if dtype == torch.bfloat16 else ("amx_fp16", "avx512_fp16")
    return any(flags.get(name, False) for name in names)


def measure(name: str, dtype_name: str) -> dict:
    """Load a model and, where the processor can, generate one window of sound in two guided steps.

    Times are the processor's (all threads together), so that other work on the machine does not count; memory is
    the most that the process held, memory-mapped weight files included.
    """
    from stav2a.pipeline import STAV2APipeline

    dtype = DTYPES[dtype_name]
    start = time.process_time()
    pipe = STAV2APipeline.from_pretrained(name, dtype=dtype)
    pipe.set_progress_bar_config(disable=True)
    row = {
        "dtype": dtype_name,
        "load_s": round(time.process_time() - start, 2),
        "weights_mb": round(
            sum(
                t.numel() * t.element_size()
                for part in pipe.components.values()
                if isinstance(part, torch.nn.Module)
                for t in part.parameters()
            )
            / 1e6,
            1,
        ),
        "loaded_mb": peak_mb(),
        "step_s": None,
    }
    if processor_runs(dtype):
        size = pipe.timeline.frame_size
        frames = torch.zeros(pipe.timeline.video_frames, size, size, 3, dtype=torch.uint8)
        steps = {}
        for item in pipe.stream(frames, "rain", num_inference_steps=2):
            steps[getattr(item, "stage", "end"), getattr(item, "step", 0)] = time.process_time()
        row["step_s"] = round(steps["denoise", 2] - steps["denoise", 1], 3)
    row["peak_mb"] = peak_mb()
    return row


def peak_mb() -> float:
    """The most memory this process has held so far, in MB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6, 1)


if __name__ == "__main__":
    print(json.dumps(measure(*sys.argv[1:3])))
