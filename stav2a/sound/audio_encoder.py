"""The sound's side of the contrastive training: log-mel -> one feature a latent frame. The CAVP score asks it again."""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

from stav2a.sound.vae import MEL_MEAN, MEL_SCALE


class MelBlock(nn.Module):
    """Two 3×3 convolutions with batch norm, then a mean over `pool` (time, frequency), as in PANNs' CNNs."""

    def __init__(self, n_in: int, n_out: int, pool: tuple[int, int]):
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(inplace=True),
            nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(inplace=True),
        )
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(self.convs(x), self.pool)


class MelEncoder(ModelMixin, ConfigMixin):
    """Log-mel Tensor[B, M, mel_bins] -> Tensor[B, T, feature_dim], T = M / mel_per_latent, not normalised.

    Time is halved until a step is a latent frame (40 ms) and no further: temporal contrast needs to tell
    neighbouring moments apart. The receptive field is about 0.6 s. `seen_with`: digest of the video encoder that it was
    trained beside, once it is written.
    """

    @register_to_config
    def __init__(self, feature_dim: int, width: int = 32, mel_per_latent: int = 4, seen_with: str = ""):
        super().__init__()
        halvings = mel_per_latent.bit_length() - 1
        assert 2**halvings == mel_per_latent and halvings <= 4, f"{mel_per_latent=}"
        widths = [1, width, 2 * width, 4 * width, 8 * width]
        self.blocks = nn.Sequential(
            *(MelBlock(widths[k], widths[k + 1], (2 if k < halvings else 1, 2)) for k in range(4))
        )
        self.project = nn.Linear(widths[-1], feature_dim)

    def forward(self, mel: Tensor) -> Tensor:
        x = self.blocks(((mel - MEL_MEAN) / MEL_SCALE)[:, None])
        # the loudest and the mean band of each moment: a click is in few bands, a crash in all
        return self.project((x.mean(3) + x.amax(3)).transpose(1, 2))


def at_moments(features: Tensor, count: int) -> Tensor:
    """Means over `count` equal parts of time: Tensor[B, T, D] -> Tensor[B, count, D]."""
    return torch.nn.functional.adaptive_avg_pool1d(features.transpose(1, 2), count).transpose(1, 2)
