"""Whether a checkpoint folder is whole."""

from __future__ import annotations

import json
import math
from collections.abc import Container
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from .errors import WeightsError
from .load import check_keys
from .read import read_shapes
from .shapes import shapes_of
from .stored import restored_shapes

WEIGHT_NAMES = ("diffusion_pytorch_model.safetensors", "model.safetensors")


# of a checkpoint that leans on a base: part -> (part of the base that holds what its file lacks, prefix of the names)
LEANS = {"unet": ("unet", ""), "system": ("video_encoder", "video_encoder.")}
DISTILLED = "distilled_unet"  # a part that holds its change of the U-Net beside it


def check_folder(folder: str | Path, skip: Container[str] = (), base: Path | None = None) -> list[tuple[str, int, int]]:
    """Compare every part's file with its configuration, key by key; -> [(part, parameters, bytes)].

    Only the headers of the files are read. Parts in `skip` are not checked.
    base: the checkpoint that this one leans on
    """
    folder = Path(folder)
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(f"{folder} is no checkpoint: model_index.json is missing.") from error
    except ValueError as error:
        raise WeightsError(f"{folder / 'model_index.json'} is not JSON; convert or fetch the model again.") from error
    rows = []
    for part, entry in index.items():
        if not isinstance(entry, list) or part in skip or not (folder / part).is_dir():
            continue
        kind = known_class(part, *entry)
        if not issubclass(kind, torch.nn.Module):
            continue  # tokenizer, scheduler
        if (row := check_part(folder / part, kind, base)) is not None:
            rows.append((part, *row))
    return rows


def check_part(folder: Path, kind: type, base: Path | None = None) -> tuple[int, int] | None:
    """Compare a part's file with the configuration beside it; -> (parameters, bytes), None for one in several files.

    base: a checkpoint that holds what this part leaves out.
    """
    if any(folder.glob("*.index.json")):
        return None  # in several files, which the libraries join
    file = weights_of(folder)
    given, wanted = read_shapes(file), shapes_of(_empty(kind, folder).state_dict())
    size = sum(math.prod(shape) for shape in given.values())
    leans = {DISTILLED: (folder.parent, "unet", "")}
    if base is not None:
        leans |= {part: (base, *of_base) for part, of_base in LEANS.items()}
    if folder.name in leans:
        source, of_base, prefix = leans[folder.name]
        theirs = {prefix + name: shape for name, shape in read_shapes(weights_of(source / of_base)).items()}
        given = {name: shape for name, shape in theirs.items() if name in wanted} | restored_shapes(given, theirs, file)
    tied = {key for key in wanted.keys() - given.keys() if key == "encoder.embed_tokens.weight"}
    check_keys({k: v for k, v in wanted.items() if k not in tied}, given, folder.name, file)
    return size, file.stat().st_size


def weights_of(folder: Path) -> Path:
    """The weights file of a part."""
    for name in WEIGHT_NAMES:
        if (folder / name).is_file():
            return folder / name
    raise WeightsError(f"{folder} has no weights ({' or '.join(WEIGHT_NAMES)}).")


def known_class(part: str, library: str, name: str) -> type:
    """The class of a part. A folder may be untrusted: only these libraries are used, and nothing is imported
    because a file says so."""
    if library not in ("diffusers", "transformers") and not library.startswith("stav2a."):
        raise WeightsError(f"The part {part} is of {library}, which is no library of this project; it is not loaded.")
    kind = getattr(import_module(library), name, None)
    if not isinstance(kind, type):
        raise WeightsError(f"The part {part} is of the class {library}.{name}, which does not exist here.")
    return kind


def _empty(kind: Any, folder: Path) -> torch.nn.Module:
    """A part of this configuration without memory for its weights."""
    config_class = getattr(kind, "config_class", None)
    with torch.device("meta"):
        if config_class is not None:  # transformers
            return kind(config_class.from_pretrained(folder))
        return kind.from_config(kind.load_config(folder))
