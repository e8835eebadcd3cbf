"""The part `distilled_unet`: a U-Net for few steps, stored as its change of the part `unet` beside it."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from stav2a.weights.check import DISTILLED, WEIGHT_NAMES, weights_of
from stav2a.weights.load import load_strict
from stav2a.weights.stored import finite, reduced, restored

ALL = 1 - 1e-8  # share of a difference's squared norm, but for rounding


def write_distilled(
    distilled: UNet2DConditionModel,
    teacher: UNet2DConditionModel,
    folder: Path,
    half: bool,
    low_rank: float | None = None,
) -> None:
    """Write `folder`/distilled_unet for a `folder` whose U-Net is `teacher`.

    half: the difference is stored in fp16. low_rank: the share of its squared norm that is kept; None: all of it.
    """
    theirs = teacher.state_dict()
    own = {name: tensor.contiguous() for name, tensor in distilled.state_dict().items()}
    differing = {name: t for name, t in own.items() if name not in theirs or not torch.equal(t, theirs[name])}
    changes = reduced(differing, theirs, low_rank or ALL)
    if half:
        changes = dict(finite({name: tensor.half() for name, tensor in changes.items()}, DISTILLED))
    distilled.register_to_config(_name_or_path="")  # a path says nothing elsewhere
    place = folder / DISTILLED
    distilled.save_config(place)
    save_file(changes, place / WEIGHT_NAMES[0], metadata={"format": "pt", "teacher": teacher_digest(teacher)})


def open_distilled(folder: str | Path, dtype: torch.dtype | None = torch.float32) -> UNet2DConditionModel:
    """The distilled U-Net of a folder of parts or a checkpoint."""
    folder = Path(folder)
    file = weights_of(folder / DISTILLED)
    theirs = load_file(weights_of(folder / "unet"))
    state = theirs | restored(load_file(file), theirs, file)
    build = partial(UNet2DConditionModel.from_config, UNet2DConditionModel.load_config(folder / DISTILLED))
    return load_strict(build, state, DISTILLED, file, dtype)


def is_of(folder: str | Path, unet: UNet2DConditionModel) -> bool:
    """Whether the distilled U-Net in `folder` was made from these weights, up to the rounding of fp16."""
    with safe_open(weights_of(Path(folder) / DISTILLED), "pt") as file:
        return (file.metadata() or {}).get("teacher") == teacher_digest(unet)


def teacher_digest(unet: UNet2DConditionModel) -> str:
    """Of the weights in fp16, which a checkpoint may hold."""
    found = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(unet.state_dict().items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().half().contiguous().numpy().tobytes())
    return found.hexdigest()
