"""Checkpoints of systems without shared parts: VAE, vocoder and encoders are in a base checkpoint, and U-Net
weights that no system trains in one folder beside the systems.

    assets/compact/              the base: a whole checkpoint
    assets/systems/shared/unet/  tensors of the U-Net that all systems share, if any
    assets/systems/shared/vae/   the VAE that all were trained on, if it differs from the base's
    assets/systems/vta-ldm/      model_index.json, scheduler/, unet/ (its own tensors), system/

`provenance.base` in model_index.json names the base, with digests of the weights that the system was trained on:
another encoder would give wrong sounds without an error. A better VAE decoder is accepted. A system with its own
video encoder has it, and its local features, in its folder.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from stav2a.models.checkpoints import checkpoint_folder
from stav2a.weights.check import WEIGHT_NAMES, known_class
from stav2a.weights.errors import WeightsError
from stav2a.weights.half import folded, halved
from stav2a.weights.load import load_strict

UNET_FILE = WEIGHT_NAMES[0]
TRAINED_ON = {"vae": ("encoder.", "quant_conv."), "video_encoder": ("",)}  # beginnings of the tensors that count


def base_of(folder: Path) -> dict | None:
    """`provenance.base` of a checkpoint folder; None if it is complete."""
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # the check of the folder says what is wrong with it
    return (index.get("provenance") or {}).get("base")


def write_lean(
    pipeline: Any, folder: str | Path, base: str, shared: tuple[str, ...] = (), half: bool = True, notes: str = ""
) -> Path:
    """Write the checkpoint of a system without the parts of `base` (a name, or a path relative to `folder`).

    shared: beginnings of names in the U-Net that lie in `../shared/unet`, written by the first system; the others
    must agree with them. half: fp16. notes: Markdown for the model card.
    """
    from stav2a.models.card import card

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    source = base_folder(folder, base)
    dtype = torch.float16 if half else torch.float32
    pinned = {}
    if _differs(pipeline, "vae", source):
        if not (folder / "../shared/vae").is_dir():
            _copy(pipeline, "vae", folder / "../shared", half)
        elif _differs(pipeline, "vae", folder / "../shared"):
            raise WeightsError("The VAE is neither the base's nor that of the systems beside this one (../shared/vae).")
    else:
        pinned["vae"] = digest(weights_of(source, "vae"), TRAINED_ON["vae"])
    if pipeline.conditioner.uses_video_encoder:
        if _differs(pipeline, "video_encoder", source):
            for part in ("video_encoder", "local_features"):
                if getattr(pipeline, part) is not None:
                    _copy(pipeline, part, folder, half)
        else:
            pinned["video_encoder"] = digest(weights_of(source, "video_encoder"), TRAINED_ON["video_encoder"])
    own = {name: value.to(dtype).contiguous() for name, value in pipeline.unet.state_dict().items()}
    common = {name: own.pop(name) for name in list(own) if shared and name.startswith(shared)}
    if common:
        place = folder / "../shared/unet" / UNET_FILE
        if place.is_file():
            _must_agree(common, load_file(place), "shared U-Net (../shared/unet)")
        else:
            place.parent.mkdir(parents=True)
            save_file(common, place)
    pipeline.unet.save_config(folder / "unet")
    save_file(own, folder / "unet" / UNET_FILE)
    _copy(pipeline, "system", folder, half)
    pipeline.scheduler.save_pretrained(folder / "scheduler")
    provenance = {**pipeline.config.provenance, "base": {"model": base, "files": pinned, "shared_unet": bool(common)}}
    pipeline.register_to_config(provenance=provenance)
    pipeline.save_config(folder)
    (folder / "README.md").write_text(card(pipeline, notes), encoding="utf-8")
    return folder


def open_lean(folder: Path, base: dict, dtype: torch.dtype) -> dict:
    """The components of a checkpoint that are not in its folder, by name, and its U-Net."""
    source = base_folder(folder, str(base.get("model", "")))
    for part, wanted in base.get("files", {}).items():
        if digest(weights_of(source, part), TRAINED_ON.get(part, ("",))) != wanted:
            raise WeightsError(
                f"{folder.name} was trained on another {part} than that of {source.name}; train or fetch it again."
            )
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    found = {}
    beside = folder.parent / "shared"
    for part, entry in index.items():
        lacking = isinstance(entry, list) and entry[0] and not (folder / part).is_dir()
        place = beside if part == "vae" and part not in base.get("files", {}) and (beside / part).is_dir() else source
        if lacking and (place / part).is_dir():
            kind: Any = known_class(part, *entry)
            options: dict[str, Any] = {}
            if issubclass(kind, torch.nn.Module):
                options["torch_dtype" if hasattr(kind, "load_config") else "dtype"] = dtype
            found[part] = kind.from_pretrained(place / part, **options)
    if index["unet"][0] is not None:  # `recorded` has none
        found["unet"] = open_unet(folder, bool(base.get("shared_unet")), dtype)
    return found


def open_unet(folder: Path, shared: bool, dtype: torch.dtype) -> UNet2DConditionModel:
    config = UNet2DConditionModel.load_config(folder / "unet")
    state = load_file(weights_of(folder, "unet"))
    if shared:
        state |= load_file(weights_of(folder.parent / "shared", "unet"))
    return load_strict(lambda: UNet2DConditionModel.from_config(config), state, "unet", folder / "unet", dtype)


def base_folder(folder: Path, name: str) -> Path:
    """The base checkpoint: a folder beside, by its path from `folder`, or a model by its name."""
    beside = (folder / name).resolve()  # the folder itself may not be there yet
    if (beside / "model_index.json").is_file():
        return beside
    return checkpoint_folder(name)


def weights_of(folder: Path, part: str) -> Path:
    for name in WEIGHT_NAMES:
        if (folder / part / name).is_file():
            return folder / part / name
    raise WeightsError(f"{folder / part} has no weights ({' or '.join(WEIGHT_NAMES)}).")


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
    kept = load_file(weights_of(folder, part))
    return bool(_differing(counting(folded(getattr(pipeline, part)).state_dict(), part), counting(kept, part)))


def _copy(pipeline: Any, part: str, folder: Path, half: bool) -> None:
    own = getattr(pipeline, part)
    (halved(own, part) if half else folded(own)).save_pretrained(folder / part)


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


def _must_agree(given: dict, kept: dict, what: str) -> None:
    if differing := _differing(given, kept):
        raise WeightsError(
            f"The {what} is not the one this system was trained with: {min(differing)} and {len(differing) - 1} more "
            "tensors differ."
        )
