"""Positions for tokens of the cross-attention (VTA-LDM §3.2 and appendix D), and optical flow as features."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor

FLOW_GRID = 4  # cells along each side
FLOW_CHANNELS = 3 * FLOW_GRID**2  # x, y and magnitude of each cell


def sinusoids(length: int, width: int, like: Tensor) -> Tensor:
    """Positions 0 .. length - 1 as in the Transformer (Vaswani et al. 2017, §3.5): Tensor[length, width]."""
    assert width % 2 == 0, f"{width=}"
    rates = torch.exp(torch.arange(0, width, 2, device=like.device) * (-math.log(10_000.0) / width))
    angles = torch.arange(length, device=like.device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1).to(like.dtype)


def flow_features(frames: Tensor) -> Tensor:
    """Dense optical flow (Farnebäck) from the previous frame, averaged over the cells of a grid.

    uint8 Tensor[T_v, H, W, 3] -> float32 Tensor[T_v, FLOW_CHANNELS], in hundredths of the picture's side per frame;
    the first row is zero.
    """
    pictures = frames.cpu().numpy()
    grey = [cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY) for picture in pictures]
    rows = np.zeros((len(grey), FLOW_CHANNELS), np.float32)
    for k in range(1, len(grey)):
        flow = cv2.calcOpticalFlowFarneback(grey[k - 1], grey[k], None, 0.5, 2, 9, 2, 5, 1.1, 0)
        field = np.dstack([flow, np.linalg.norm(flow, axis=-1)])
        cells = cv2.resize(field, (FLOW_GRID, FLOW_GRID), interpolation=cv2.INTER_AREA)
        rows[k] = cells.reshape(-1) * (100 / grey[k].shape[0])
    return torch.from_numpy(rows)
