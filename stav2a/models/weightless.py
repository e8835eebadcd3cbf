"""Networks and inputs without memory (PyTorch's meta device): their operations can be counted on any machine."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from stav2a.denoise.conditions import Conditions
from stav2a.models.build import build, build_controlnet
from stav2a.presets import ONSET_CHANNELS, TIMELINES, UNET

TOKENS = 32  # of a caption


def networks(model: str, dtype: torch.dtype = torch.float32) -> dict[str, nn.Module]:
    """Every part that makes sound in the size `model` (compact, paper, tiny), by name; the text encoder left out."""
    names = ("video_encoder", "local_features", "attentive_pool", "unet", "vae", "vocoder")
    with torch.device("meta"):
        parts = {name: build(name, model) for name in names}
        parts["controlnet"] = build_controlnet(parts["unet"], model)
    return {name: nn.Module.to(part, dtype) for name, part in parts.items()}  # diffusers' own warns of nothing


def latents(model: str, batch: int, steps: int, dtype: torch.dtype = torch.float32) -> Tensor:
    timeline = TIMELINES[model]
    return torch.empty(batch, timeline.latent_channels, steps, timeline.latent_bins, device="meta", dtype=dtype)


def conditions(model: str, batch: int, steps: int, channels: int, dtype: torch.dtype = torch.float32) -> Conditions:
    """What steers `batch` clips of `steps` latent steps; `channels`: those of the ControlNet's condition."""
    options: dict[str, Any] = {"device": "meta", "dtype": dtype}
    text = torch.empty(batch, TOKENS, UNET[model]["cross_attention_dim"], **options)
    mask = torch.ones(batch, TOKENS, dtype=torch.bool, device="meta")
    local = torch.empty(batch, steps, channels - ONSET_CHANNELS[model], **options)
    curve = torch.empty(batch, steps, **options) if ONSET_CHANNELS[model] else None
    return Conditions(text, mask, text, mask, text[:, :4], local, curve)
