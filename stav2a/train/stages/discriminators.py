"""What tells made from real sound: convolutions on complex spectrograms at several resolutions (the vocoder's), or on
patches of log-mels (the VAE's, as in AudioLDM's own training).

The multi-scale STFT discriminator of EnCodec (Défossez et al. 2022), narrow; the patch discriminator of pix2pix (Isola
et al. 2017); hinge-free least-squares loss and feature matching as in HiFi-GAN (Kong et al. 2020).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from stav2a.sound.vae import MEL_MEAN, MEL_SCALE

RESOLUTIONS = (1024, 512, 256)  # FFT sizes; the hop is a quarter
MEL_STRIDES = ((2, 2), (4, 1))  # of the first layer in time and frequency: square patches, and long narrow ones


class SpectrogramDiscriminator(nn.Module):
    """waveform Tensor[B, S] -> scores Tensor[B, 1, frames, bins / 16] and the features of each layer."""

    def __init__(self, n_fft: int, channels: int):
        super().__init__()
        self.n_fft = n_fft
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        widths = (2, channels, channels, channels, channels)
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(n_in, n_out, (3, 9), (1, 2), (1, 4))) for n_in, n_out in pairwise(widths)
        )
        self.out = weight_norm(nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, waveform: Tensor) -> tuple[Tensor, list[Tensor]]:
        spectrum = torch.stft(
            waveform, self.n_fft, self.n_fft // 4, window=self.window, normalized=True, return_complex=True
        )
        # the root of the magnitude keeps quiet sounds in sight of the same weights
        spectrum = spectrum / (spectrum.abs() + 1e-4).sqrt()
        x = torch.view_as_real(spectrum).permute(0, 3, 2, 1)
        return scored(x, self.layers, self.out)


def scored(x: Tensor, layers: nn.ModuleList, out: nn.Module) -> tuple[Tensor, list[Tensor]]:
    """Scores of what goes into the layers, and the features of each."""
    features = []
    for layer in layers:
        x = functional.leaky_relu(layer(x), 0.2)
        features.append(x)
    return out(x), features


class MelDiscriminator(nn.Module):
    """log-mel Tensor[B, 1, M, mel_bins] -> scores of patches Tensor[B, 1, ., .] and the features of each layer."""

    def __init__(self, stride: tuple[int, int], channels: int):
        super().__init__()
        widths = (1, channels, 2 * channels, 4 * channels)
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(n_in, n_out, 4, stride if n_in == 1 else 2, 1)) for n_in, n_out in pairwise(widths)
        )
        self.out = weight_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, mel: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = ((mel - MEL_MEAN) / MEL_SCALE).contiguous(memory_format=torch.channels_last)
        return scored(x, self.layers, self.out)


class Discriminators(nn.Module):
    """Several, each of which gives scores and its layers' features; real and made are what they take."""

    def __init__(self, each: Iterable[nn.Module]):
        super().__init__()
        self.each = nn.ModuleList(each)

    @classmethod
    def of_waveforms(cls, channels: int = 12, sizes: Iterable[int] = RESOLUTIONS) -> Discriminators:
        return cls(SpectrogramDiscriminator(n_fft, channels) for n_fft in sizes)

    @classmethod
    def of_mels(cls, channels: int = 32) -> Discriminators:
        return cls(MelDiscriminator(stride, channels) for stride in MEL_STRIDES)

    def loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Real towards 1, made towards 0."""
        terms = []
        for one in self.each:
            scores, _ = one(torch.cat([real, fake]))
            truly, falsely = scores.float().chunk(2)
            terms.append((1 - truly).square().mean() + falsely.square().mean())
        return torch.stack(terms).mean()

    def judge(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """-> the maker's adversarial loss and the distance of features between real and made."""
        adversarial, matching = [], []
        for one in self.each:
            with torch.no_grad():
                _, wanted = one(real)
            scores, features = one(fake)
            adversarial.append((1 - scores.float()).square().mean())
            matching += [
                (a - b).abs().mean() / a.abs().mean().clamp(min=1e-3) for a, b in zip(wanted, features, strict=True)
            ]
        return torch.stack(adversarial).mean(), torch.stack(matching).mean()
