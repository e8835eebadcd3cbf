"""Multi-resolution STFT distance: what the vocoder is trained with and measured by."""

from __future__ import annotations

import torch
from torch import Tensor

FFT_SIZES = (2048, 1024, 512, 256)
FLOOR = 1e-4  # of magnitudes before the logarithm: quieter ones count as silence


def stft_distance(real: Tensor, made: Tensor) -> Tensor:
    """Spectral convergence + L1 of log magnitudes, a mean over FFT sizes (Yamamoto et al. 2020).

    Waveforms Tensor[B, S] -> scalar.
    """
    terms = []
    for n_fft in FFT_SIZES:
        window = torch.hann_window(n_fft, device=real.device)
        wanted, got = (
            torch.stft(wave, n_fft, n_fft // 4, window=window, normalized=True, return_complex=True).abs()
            for wave in (real, made)
        )
        convergence = (wanted - got).norm() / wanted.norm().clamp(min=1e-3)
        logs = (wanted.clamp(min=FLOOR).log() - got.clamp(min=FLOOR).log()).abs().mean()
        terms.append(convergence + logs)
    return torch.stack(terms).mean()
