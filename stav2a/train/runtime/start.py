"""Where a system's training starts: a folder of parts filled from another, and a U-Net with room for more channels."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from stav2a import systems
from stav2a.models import licences
from stav2a.train.runtime.config import TrainConfig

# what only one system uses, and the text encoder, which is large and read where it lies
NOT_TAKEN = ("attentive_pool", "eye_pool", "controlnet", "text_encoder", *systems.names())


@dataclass
class StartOptions:
    base: str | None = None  # folder of parts that `parts` is filled from
    unet: str | None = None  # folder of the U-Net to start from; else the one in `parts`


def begin(config: TrainConfig, options: StartOptions) -> None:
    """Fill `parts` with what is not there yet: the U-Net from `options.unet`, the rest from `options.base`.

    A run that goes on, or a second phase of training, finds its own parts and is left alone.
    """
    parts = Path(config.parts)
    if options.unet and not (parts / "unet").exists():
        source = Path(options.unet)
        if not (source / "config.json").is_file():
            raise ValueError(f"options.unet is {source}, and there is no U-Net in it: config.json is missing.")
        shutil.copytree(source, parts / "unet", dirs_exist_ok=True)
        licences.note(parts, {k: v for k, v in licences.noted(source.parent).items() if k == source.name == "unet"})
    if not options.base:
        return
    base = Path(options.base)
    if not base.is_dir():
        raise ValueError(f"options.base is {base}, and there is no such folder of parts.")
    taken, known = {}, licences.noted(base)
    for part in sorted(base.iterdir()):
        wanted = part.name not in NOT_TAKEN and (part / "config.json").is_file()
        if wanted and not (parts / part.name).exists():
            shutil.copytree(part, parts / part.name, dirs_exist_ok=True)  # processes may do it at once
            taken |= {part.name: known[part.name]} if part.name in known else {}
    licences.note(parts, taken)
    if (base / "defaults.json").is_file() and not (parts / "defaults.json").exists():
        parts.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(base / "defaults.json", parts / "defaults.json")


def widened(unet: UNet2DConditionModel, extra: int) -> UNet2DConditionModel:
    """The U-Net with `extra` input channels, its weights kept and those of the new channels zero.

    So the widened U-Net begins as the one it was made of, whatever the new channels hold. One that has them
    already is returned as it is.
    """
    wanted = unet.config.out_channels + extra
    if unet.config.in_channels == wanted:
        return unet
    if unet.config.in_channels != unet.config.out_channels:
        raise ValueError(f"The U-Net takes {unet.config.in_channels} channels; this system needs {wanted}.")
    old = unet.conv_in
    new = nn.Conv2d(wanted, old.out_channels, old.kernel_size, old.stride, old.padding)
    with torch.no_grad():
        new.weight.zero_()
        new.weight[:, : old.in_channels] = old.weight
        new.bias.copy_(old.bias)
    unet.conv_in = new.to(old.weight)
    unet.register_to_config(in_channels=wanted)
    return unet
