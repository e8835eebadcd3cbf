"""T2A: conditions on the caption alone, the paper's text-only baseline."""

from __future__ import annotations

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

from stav2a.denoise.conditions import Conditions

from .base import System, Widths


class T2A(System):
    name = "t2a"
    uses_video_encoder = False

    @register_to_config
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("nothing", torch.zeros(1))  # diffusers asks every part where its tensors are

    @classmethod
    def sized(cls, model: str, options: dict | None = None, widths: Widths | None = None) -> T2A:
        return cls()

    def encode_frames(self, frames: Tensor, video_encoder: ModelMixin, cavp_features: Tensor | None = None) -> Tensor:
        return frames.new_zeros((len(frames), 0), dtype=video_encoder.dtype, device=video_encoder.device)

    def forward(self, features: Tensor, text: Conditions) -> Conditions:
        return text


SYSTEM = T2A
