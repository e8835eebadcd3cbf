"""Weights and peak memory of a model by dtype, each measured in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import torch

from stav2a.denoise.request import Request
from stav2a.dials import Dials
from stav2a.pipeline import STAV2APipeline
from stav2a.weights.errors import WeightsError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def memory_table(name: str, dtypes: tuple[str, ...] = tuple(DTYPES)) -> list[dict]:
    """Weights and peak memory by dtype on this processor, each in a process of its own."""
    rows = []
    for dtype in dtypes:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            try:
                rows.append(process.submit(measure, str(name), dtype).result())
            except Exception as error:
                raise WeightsError(f"The model {name} cannot be measured in {dtype}: {error}.") from error
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
        for item in pipe.stream([Request(frames, Dials(prompt="rain", steps=2))]):
            steps[getattr(item, "stage", "end"), getattr(item, "step", 0)] = time.process_time()
        row["step_s"] = round(steps["denoise", 2] - steps["denoise", 1], 3)
    row["peak_mb"] = peak_mb()
    return row


def peak_mb() -> float:
    """The most memory this process has held so far, in MB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6, 1)
