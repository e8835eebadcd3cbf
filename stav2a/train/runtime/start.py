"""Starting weights of a training: parts copied from another folder, and a U-Net with more input channels."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from stav2a import presets, systems
from stav2a.models import licences
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.parts import note_default, note_source, noted_defaults
from stav2a.weights import vision
from stav2a.weights.check import DISTILLED
from stav2a.weights.sources import TEXT, VISION

CONTROLS = ("attentive_pool", "image_pool", "reference_pool", "controlnet")  # of STA-V2A alone
# what only one system uses, a U-Net distilled from the base's, and the text encoder, which is read where it lies
NOT_TAKEN = (*CONTROLS, DISTILLED, "audio_encoder", "text_encoder", *systems.names())


@dataclass
class StartOptions:
    base: str | None = None  # folder of parts that `parts` is filled from
    unet: str | None = None  # folder of the U-Net to start from, or `new`; else the one in `parts`
    context_width: int | None = None  # of a new U-Net's cross-attention; null: the size's own
    encoder: str | None = None  # pretrained vision encoder (`weights.sources.VISION`, repository, folder); null: CAVP
    encoder_layers: list | None = None  # of it: CLS tokens that are the feature; null: its own pooled output
    encoder_levels: list | None = None  # of it: what TiVA's layout predictor reads
    text_encoder: str | None = None  # (`weights.sources.TEXT`, repository, folder); null: the size's own


def begin(config: TrainConfig, options: StartOptions) -> None:
    """Copy missing parts into `parts`: the U-Net from `options.unet`, the rest from `options.base`.

    A resumed run or a second phase of training has its parts already, and nothing is copied.
    """
    parts = Path(config.parts)
    refused = {"unet"} if options.unet == "new" else set()
    if options.encoder:
        refused |= {"video_encoder", "local_features"}  # those of the base see by another encoder
        take_encoder(config, options)
    if options.text_encoder:
        note_source(parts, "text_encoder", options.text_encoder)
        known = TEXT.get(options.text_encoder)
        licences.note(parts, {"text_encoder": known.licence if known else licences.NONE_STATED})
    if options.unet not in (None, "new") and not (parts / "unet").exists():
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
    take(base, parts, {part.name for part in base.iterdir()} - {*NOT_TAKEN, *refused})
    if (base / "defaults.json").is_file() and not (parts / "defaults.json").exists():
        parts.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(base / "defaults.json", parts / "defaults.json")


def begin_controls(config: TrainConfig, options: StartOptions) -> None:
    """What `begin` leaves in `options.base`, for training STA-V2A on: its controls, and a checkpoint's defaults."""
    parts = Path(config.parts)
    if not options.base:
        return
    take(Path(options.base), parts, CONTROLS)
    for name, value in noted_defaults(options.base).items():
        if name not in noted_defaults(parts):
            note_default(parts, name, value)


def take(base: Path, parts: Path, names: Iterable[str]) -> None:
    """Copy the parts of `base` that `parts` lacks, with the notes of their licences."""
    taken, known = {}, licences.noted(base)
    for name in sorted(names):
        if (base / name / "config.json").is_file() and not (parts / name).exists():
            shutil.copytree(base / name, parts / name, dirs_exist_ok=True)  # processes may do it at once
            taken |= {name: known[name]} if name in known else {}
    licences.note(parts, taken)


def take_encoder(config: TrainConfig, options: StartOptions) -> None:
    """Write the pretrained vision encoder as the part `video_encoder`, unless that exists; narrow presets narrow it."""
    place = Path(config.parts) / "video_encoder"
    if place.exists():
        return
    given = (options.encoder, options.encoder_layers or (), options.encoder_levels or ())
    encoder = vision.narrow(*given) if config.model in presets.NARROW else vision.video_encoder(*given)
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f".video_encoder-{os.getpid()}")
    try:
        encoder.save_pretrained(partial)
        partial.rename(place)
    except OSError:
        if not place.exists():  # another process of the same training was first
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    known = VISION.get(options.encoder)
    licences.note(place.parent, {"video_encoder": known.licence if known else licences.NONE_STATED})


def widened(unet: UNet2DConditionModel, extra: int) -> UNet2DConditionModel:
    """The U-Net with `extra` input channels, its weights kept and those of the new channels zero.

    The widened U-Net computes the same as before, whatever the new channels hold. A U-Net that has them already is
    returned unchanged.
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


def attending_finely(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """The U-Net with cross-attention from half the latents' resolution on, its weights kept, the new blocks silent.

    compact's has attention from a quarter on, 160 ms: frames cannot time a sound to 50 ms by that. The new blocks
    attend to the context alone, since self-attention at so many places would cost too much.
    """
    down, up = list(unet.config.down_block_types), list(unet.config.up_block_types)
    new = [level for level in range(1, len(down)) if down[level] == "DownBlock2D"]
    if not new:
        return unet
    only = unet.config.only_cross_attention
    only = [only] * len(down) if isinstance(only, bool) else list(only)
    for level in new:
        down[level], up[-1 - level], only[level] = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D", True
    kinds = {"down_block_types": down, "up_block_types": up, "only_cross_attention": only}
    finer = UNet2DConditionModel.from_config({**unet.config, **kinds})
    missing, unexpected = finer.load_state_dict(unet.state_dict(), strict=False)
    assert not unexpected and all(".attentions." in name for name in missing), (missing, unexpected)
    rests = {name for name, weight in unet.named_parameters() if not weight.requires_grad}
    for name, weight in finer.named_parameters():
        weight.requires_grad_(name not in rests)
        if name in missing and ".proj_out." in name:
            nn.init.zeros_(weight)
    return finer.to(next(unet.parameters()))
