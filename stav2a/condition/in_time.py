"""From video frames to latent frames: rows of features in time, Tensor[B, T, ...]."""

from __future__ import annotations

import torch
from torch import Tensor


def stretched(x: Tensor, steps_per_frame: float, tail_steps: int = 0) -> Tensor:
    """Nearest-neighbour stretch of frames over latent frames, the last one repeated `tail_steps` times more.

    Tensor[B, T_v, C] -> Tensor[B, T, C] with T = round(T_v * steps_per_frame) + tail_steps.
    """
    steps = round(x.shape[1] * steps_per_frame)
    index = torch.arange(steps + tail_steps, device=x.device).clamp(max=steps - 1)
    return x[:, (index / steps_per_frame).long().clamp(max=x.shape[1] - 1)]


def fitted(x: Tensor, steps: int) -> Tensor:
    """As long as the latents: cut, or continued by the last row. Tensor[B, T, ...] -> Tensor[B, steps, ...].

    A video may cover less than its sound: the paper's 10 s are 250 of 256 latent frames.
    """
    missing = steps - x.shape[1]
    if missing <= 0:
        return x[:, :steps]
    return torch.cat([x, x[:, -1:].expand(-1, missing, *x.shape[2:])], 1)
