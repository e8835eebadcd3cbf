"""P_φ(y | z_t, t, E_v): whether noisy latents and a video belong together (Diff-Foley's alignment classifier)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

WIDTH = 64


class Aligner(nn.Module):
    """Latents Tensor[B, 8, T, F], timesteps Tensor[B], features Tensor[B, T, C] -> logits Tensor[B]."""

    def __init__(self, feature_dim: int, latent_channels: int = 8, latent_bins: int = 16, width: int = WIDTH):
        super().__init__()
        self.width = width
        self.sound = nn.Linear(latent_channels * latent_bins, width)
        self.picture = nn.Linear(feature_dim, width)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.layers = nn.Sequential(
            nn.Conv1d(3 * width, width, 5, padding=2),
            nn.SiLU(),
            nn.Conv1d(width, width, 5, padding=2),
            nn.SiLU(),
        )
        self.out = nn.Linear(width, 1)

    def forward(self, latents: Tensor, timesteps: Tensor, features: Tensor) -> Tensor:
        sound = self.sound(latents.transpose(1, 2).flatten(2))
        # features have unit norm: scale their values to about one, like the latents
        picture = self.picture(features * features.shape[-1] ** 0.5)
        rates = torch.exp(torch.arange(self.width // 2, device=latents.device) * (-math.log(1e4) * 2 / self.width))
        angles = timesteps[:, None].to(latents.dtype) * rates.to(latents.dtype)
        noise = self.time(torch.cat([angles.sin(), angles.cos()], -1))[:, None]
        both = torch.cat([sound + noise, picture, sound * picture], -1)
        return self.out(self.layers(both.transpose(1, 2)).amax(2))[:, 0]
