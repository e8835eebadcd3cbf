"""Patch and frame features from several levels of the video encoder (TiVA §3.2.1)."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .pretrained import HubVideoEncoder

LEVELS = ("layer2", "layer3", "layer4")  # of CAVP, as TiVA takes CLIP's layers 4, 8 and 11


def level_widths(base_channels: int, expansion: int) -> list[int]:
    """Channels of `LEVELS` in a CAVP encoder of this configuration."""
    return [base_channels * 2**level * expansion for level in (1, 2, 3)]


def level_width(video_encoder: Any) -> int:
    """Total number of channels of all levels of a video encoder."""
    if isinstance(video_encoder, HubVideoEncoder):
        return video_encoder.level_dim
    return sum(level_widths(video_encoder.config.base_channels, video_encoder.config.expansion))


def pixels_of(frames: Tensor, encoder: Any) -> Tensor:
    """uint8 Tensor[T_v, H, W, 3] -> Tensor[1, 3, T_v, H, W] in [0, 1], on the encoder's device and in its dtype."""
    return frames.permute(3, 0, 1, 2)[None].to(encoder.device, encoder.dtype) / 255


@torch.no_grad()
def multi_level(video_encoder: Any, frames: Tensor, grid: int) -> tuple[Tensor, Tensor]:
    """uint8 Tensor[T_v, H, W, 3] -> the encoder's features Tensor[T_v, D], levels Tensor[T_v, (1 + grid²) * channels].

    The features of the whole frame come first, then those of its patches. `channels` is the sum over the levels. Each
    level is scaled to unit mean square, because their magnitudes differ.
    """
    pixels = pixels_of(frames, video_encoder)
    hub = isinstance(video_encoder, HubVideoEncoder)
    features, maps = video_encoder(pixels, maps=True) if hub else cavp_levels(video_encoder, pixels)
    whole = [frame[:, None] for frame, _ in maps]
    patches = [functional.adaptive_avg_pool2d(patch, grid).flatten(2).transpose(1, 2) for _, patch in maps]
    rows = []
    for levels in (whole, patches):
        scaled = [x / x.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-4) for x in levels]
        rows.append(torch.cat(scaled, -1).flatten(1))
    return features[0], torch.cat(rows, 1)


def cavp_levels(video_encoder: Any, pixels: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Tensor[1, 3, T_v, H, W] -> the features Tensor[1, T_v, D], and each level's mean over the picture
    Tensor[T_v, C] with its map Tensor[T_v, C, h, w].
    """
    seen: dict[str, Tensor] = {}
    trunk = video_encoder.video_encoder
    with ExitStack() as hooks:
        for name in LEVELS:

            def keep(module: Any, inputs: Any, output: Tensor, name: str = name) -> None:
                seen[name] = output[0].transpose(0, 1)  # [T_v, C, H, W]

            hooks.callback(getattr(trunk, name).register_forward_hook(keep).remove)
        features = video_encoder(pixels)
    return features, [(seen[name].mean((2, 3)), seen[name]) for name in LEVELS]
