"""Features of several levels of the video encoder: of patches, and of whole frames (TiVA §3.2.1)."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

LEVELS = ("layer2", "layer3", "layer4")  # as TiVA takes CLIP's layers 4, 8 and 11


def level_widths(base_channels: int, expansion: int) -> list[int]:
    """Channels of `LEVELS` in an encoder of this configuration."""
    return [base_channels * 2**level * expansion for level in (1, 2, 3)]


@torch.no_grad()
def multi_level(video_encoder: Any, frames: Tensor, grid: int) -> Tensor:
    """uint8 Tensor[T_v, H, W, 3] -> Tensor[T_v, (1 + grid²) * channels]: the frame's mean, then its patches'.

    `channels` is the sum of the levels'. Each level is scaled to unit mean square, for they differ in size.
    """
    seen: dict[str, Tensor] = {}
    trunk = video_encoder.video_encoder
    with ExitStack() as hooks:
        for name in LEVELS:

            def keep(module: Any, inputs: Any, output: Tensor, name: str = name) -> None:
                seen[name] = output[0].transpose(0, 1)  # [T_v, C, H, W]

            hooks.callback(getattr(trunk, name).register_forward_hook(keep).remove)
        pixels = frames.permute(3, 0, 1, 2)[None].to(video_encoder.device, video_encoder.dtype) / 255
        video_encoder(pixels)
    rows = []
    for size in (1, grid):
        levels = [functional.adaptive_avg_pool2d(seen[name], size).flatten(2).transpose(1, 2) for name in LEVELS]
        levels = [x / x.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-4) for x in levels]
        rows.append(torch.cat(levels, -1).flatten(1))
    return torch.cat(rows, 1)
