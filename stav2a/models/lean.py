"""Checkpoints of systems without what a base checkpoint holds already.

    assets/compact/              the base: a whole checkpoint
    assets/systems/vta-ldm/      model_index.json, scheduler/, unet/ and system/: tensors that differ from the base's

Training a system changes part of the base's U-Net (`options.trained_unet`); only these tensors are stored. A system
with a video encoder of its own (`system.video_encoder`) stores what differs of that, too. `low_rank` stores the
difference of a tensor in two factors where these are smaller (`weights.stored`).

`provenance.base` in model_index.json names the base, with digests of the weights that the system was trained on:
other ones would give wrong sounds without an error. A better VAE decoder is accepted.
"""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from stav2a.models.checkpoints import checkpoint_folder
from stav2a.weights.check import LEANS, WEIGHT_NAMES, known_class, weights_of
from stav2a.weights.errors import WeightsError
from stav2a.weights.load import load_strict
from stav2a.weights.stored import folded, halved, reduced, restored

# the beginnings of the tensors of a part that the training of a system depends on
TRAINED_ON = {"vae": ("encoder.", "quant_conv."), "video_encoder": ("",), "unet": ("",)}


def base_of(folder: Path) -> dict | None:
    """`provenance.base` of a checkpoint folder; None if it is complete."""
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # the check of the folder says what is wrong with it
    return (index.get("provenance") or {}).get("base")


def write_lean(
    pipeline: Any,
    folder: str | Path,
    base: str,
    half: bool = True,
    notes: str = "",
    low_rank: float | None = None,
) -> Path:
    """Write the checkpoint of a system without the parts of `base` (a name, or a path relative to `folder`).

    half: fp16. notes: Markdown for the model card. low_rank: the share of each difference to the base that is kept, of
    its squared norm; None: all of it.
    """
    from stav2a.models.card import card

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    source = base_folder(folder, base)
    if _differs(pipeline, "vae", source):
        raise WeightsError(f"The VAE is not that of {source.name}: train on it, or write a whole checkpoint.")
    pinned = {"vae"}
    if pipeline.conditioner.uses_video_encoder:
        if _differs(pipeline, "video_encoder", source):
            for part in ("video_encoder", "local_features"):
                if getattr(pipeline, part) is not None:
                    _copy(pipeline, part, folder, half)
        else:
            pinned.add("video_encoder")
    for part, (of_base, _) in LEANS.items():
        kept = halved(getattr(pipeline, part), part) if half else folded(getattr(pipeline, part))
        own = {name: tensor.contiguous() for name, tensor in kept.state_dict().items()}
        theirs = tensors_of_base(source, part)
        differing = {name: tensor for name, tensor in own.items() if not _same(tensor, theirs.get(name))}
        if len(differing) < len(own):
            pinned.add(of_base)
        if low_rank is not None:
            differing = reduced(differing, theirs, low_rank)
        kept.save_config(folder / part)
        save_file(differing, folder / part / WEIGHT_NAMES[0], metadata={"format": "pt"})
    pipeline.scheduler.save_pretrained(folder / "scheduler")
    digests = {part: digest(weights_of(source / part), TRAINED_ON[part]) for part in sorted(pinned)}
    provenance = {**pipeline.config.provenance, "base": {"model": base, "files": digests}}
    pipeline.register_to_config(provenance=provenance, _name_or_path="")
    pipeline.save_config(folder)
    (folder / "README.md").write_text(card(pipeline, notes), encoding="utf-8")
    return folder


def open_lean(folder: Path, base: dict, dtype: torch.dtype) -> dict:
    """The components of a checkpoint that are not in its folder, or only in part, by name."""
    source = base_folder(folder, str(base.get("model", "")))
    pinned = base.get("files", {})
    for part, wanted in pinned.items():
        if digest(weights_of(source / part), TRAINED_ON.get(part, ("",))) != wanted:
            raise WeightsError(
                f"{folder.name} was trained on another {part} than that of {source.name}; train or fetch it again."
            )
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    found = {}
    for part, entry in index.items():
        if not (isinstance(entry, list) and entry[0]):
            continue
        kind: Any = known_class(part, *entry)
        if not (folder / part).is_dir():
            if (source / part).is_dir():
                options: dict[str, Any] = {}
                if issubclass(kind, torch.nn.Module):
                    options["torch_dtype" if hasattr(kind, "load_config") else "dtype"] = dtype
                found[part] = kind.from_pretrained(source / part, **options)
        elif part in LEANS and LEANS[part][0] in pinned:
            found[part] = open_part(kind, part, folder, source, dtype)
    return found


def open_part(kind: Any, part: str, folder: Path, source: Path, dtype: torch.dtype) -> torch.nn.Module:
    """A part of a system: the tensors that its folder lacks are those of the base in `source`."""
    build = partial(kind.from_config, kind.load_config(folder / part))
    with torch.device("meta"):
        names = build().state_dict().keys()
    theirs = tensors_of_base(source, part)
    own = restored(load_file(weights_of(folder / part)), theirs, folder / part)
    state = {name: tensor for name, tensor in theirs.items() if name in names} | own
    return load_strict(build, state, part, folder / part, dtype)


def tensors_of_base(source: Path, part: str) -> dict[str, Tensor]:
    """What a part of a system may leave to the base in `source`, under the names of that part."""
    of_base, prefix = LEANS[part]
    return {prefix + name: tensor for name, tensor in load_file(weights_of(source / of_base)).items()}


def base_folder(folder: Path, name: str) -> Path:
    """The base checkpoint: a folder beside, by its path from `folder`, or a model by its name."""
    beside = (folder / name).resolve()  # the folder itself may not be there yet
    if (beside / "model_index.json").is_file():
        return beside
    return checkpoint_folder(name)


def source_of(folder: Path) -> Path | None:
    """The checkpoint that this one leans on; None if it is complete."""
    base = base_of(folder)
    return None if base is None else base_folder(folder, str(base.get("model", "")))


def digest(file: Path, beginnings: tuple[str, ...] = ("",)) -> str:
    """Of a weights file's tensors whose names begin so, bit by bit."""
    found = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(load_file(file).items()):
        if name.startswith(beginnings):
            found.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
            found.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def counting(state: dict, part: str) -> dict:
    """The tensors of a part that the training of a system depends on."""
    return {name: tensor for name, tensor in state.items() if name.startswith(TRAINED_ON[part])}


def _differs(pipeline: Any, part: str, folder: Path) -> bool:
    """Whether the relevant tensors of a part differ from those in `folder`."""
    kept = load_file(weights_of(folder / part))
    return bool(_differing(counting(folded(getattr(pipeline, part)).state_dict(), part), counting(kept, part)))


def _copy(pipeline: Any, part: str, folder: Path, half: bool) -> None:
    own = getattr(pipeline, part)
    (halved(own, part) if half else folded(own)).save_pretrained(folder / part)


def _same(own: Tensor, theirs: Tensor | None) -> bool:
    """Whether the base's tensor gives the same numbers in the precision that the system is stored in."""
    return theirs is not None and own.shape == theirs.shape and torch.equal(own, theirs.to(own.dtype))


def _differing(given: dict, kept: dict) -> list[str]:
    """Tensors that differ by more than fp16 rounding."""
    return [
        name
        for name in given.keys() | kept.keys()
        if name not in given
        or name not in kept
        or given[name].shape != kept[name].shape
        or not torch.allclose(given[name].half().float(), kept[name].half().float(), rtol=2e-3, atol=1e-4)
    ]
