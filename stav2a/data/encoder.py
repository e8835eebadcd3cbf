"""The frozen video encoder for data preparation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from stav2a.models.build import open_video_encoder
from stav2a.weights.digest import digest


class FrameEncoder:
    """uint8 [T_v, H, W, 3] -> `cavp_features` (e_v) float16 [T_v, D]. `digest` names the weights."""

    def __init__(self, parts: str | Path):
        folder = Path(parts) / "video_encoder"
        if not (folder / "config.json").is_file():
            raise ValueError(f"{parts} has no video_encoder: train the stage `video` or `onset` first.")
        self.model = open_video_encoder(folder).eval().requires_grad_(False)
        self.digest = digest(self.model)

    @torch.no_grad()
    def __call__(self, frames: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(np.ascontiguousarray(frames)).permute(3, 0, 1, 2)[None].float() / 255
        return self.model(pixels)[0].half().numpy()
