"""Resample features in time from video frames to latent frames, Tensor[B, T, ...]."""

from __future__ import annotations

import torch
from torch import Tensor


def stretched(x: Tensor, steps_per_frame: float, tail_steps: int = 0) -> Tensor:
    """Nearest-neighbour stretch of frames over latent frames; the last frame is repeated `tail_steps` more times.

    Tensor[B, T_v, C] -> Tensor[B, T, C] with T = round(T_v * steps_per_frame) + tail_steps.
    """
    steps = round(x.shape[1] * steps_per_frame)
    index = torch.arange(steps + tail_steps, device=x.device).clamp(max=steps - 1)
    return x[:, (index / steps_per_frame).long().clamp(max=x.shape[1] - 1)]


def fitted(x: Tensor, steps: int) -> Tensor:
    """Cut to `steps` rows, or repeat the last row up to them. Tensor[B, T, ...] -> Tensor[B, steps, ...].

    A video may be shorter than the latents: the paper's 10 s cover 250 of 256 latent frames.
    """
    missing = steps - x.shape[1]
    if missing <= 0:
        return x[:, :steps]
    return torch.cat([x, x[:, -1:].expand(-1, missing, *x.shape[2:])], 1)
