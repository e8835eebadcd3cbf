"""CVALP of TA-V2A (You et al.): a joint space of video, audio and captions, and the mixing of video and caption.

Eq. 1-5 are the stage `cvalp` (`stav2a/train/stages/cvalp.py`); this file has its text head and the mixing of eq. 6-7.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .frame_tokens import sinusoids

MIXES = ("average", "concat")


class TextHead(nn.Module):
    """f_L on a frozen text encoder: the mean of a caption's tokens, Tensor[B, D] -> E_l, Tensor[B, C], unit norm."""

    def __init__(self, text_dim: int, width: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(text_dim, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, pooled: Tensor) -> Tensor:
        return functional.normalize(self.layers(pooled), dim=-1)


class Mixing(nn.Module):
    """E_v Tensor[B, T, C] and E_l Tensor[B, C] -> tokens of the cross-attention, Tensor[B, T, token_dim].

    "average" (eq. 6): [E_l + (λ + μ) E_v] / (1 + λ + μ), with λ, μ of the pre-training's loss; "concat" (eq. 7):
    both projected to half their width, concatenated, with positions added. Both end in a projection τ_θ.
    """

    def __init__(self, width: int, token_dim: int, mix: str, video_weight: float):
        super().__init__()
        if mix not in MIXES:
            raise ValueError(f"mix is {mix!r}; it must be one of {', '.join(MIXES)}.")
        self.mix, self.video_weight = mix, video_weight
        if mix == "concat":
            self.project_video = nn.Linear(width, width // 2)
            self.project_text = nn.Linear(width, width // 2)
        self.out = nn.Sequential(nn.Linear(width, token_dim), nn.GELU(), nn.Linear(token_dim, token_dim))

    def forward(self, video: Tensor, text: Tensor) -> Tensor:
        return self.out(self.mixed(video, text) * video.shape[-1] ** 0.5)  # unit norm: scale the values to about one

    def mixed(self, video: Tensor, text: Tensor) -> Tensor:
        """E_mix before the projection: Tensor[B, T, C]."""
        text = text[:, None].expand(-1, video.shape[1], -1)
        if self.mix == "average":
            return (text + self.video_weight * video) / (1 + self.video_weight)
        both = torch.cat([self.project_video(video), self.project_text(text)], -1)
        return both + sinusoids(video.shape[1], video.shape[-1], video) / video.shape[-1] ** 0.5
