"""Log-mel front end of the paper's VAE and vocoder (AudioLDM's settings, as the authors' code computes them)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from stav2a.timeline import Timeline

from .compiled import librosa

N_FFT = 1024
LOG_FLOOR = 1e-5  # amplitudes below are silence: ln(1e-5) = -11.5


@lru_cache(maxsize=4)
def mel_filters(sample_rate: int, mel_bins: int) -> Tensor:
    """Slaney mel filters from 0 Hz to half the sample rate: Tensor[mel_bins, N_FFT // 2 + 1]."""
    filters = librosa().filters.mel(sr=sample_rate, n_fft=N_FFT, n_mels=mel_bins, fmin=0, fmax=sample_rate / 2)
    return torch.from_numpy(np.ascontiguousarray(filters))


def magnitudes(waveform: Tensor, hop_length: int) -> Tensor:
    """Magnitude spectrogram, Hann window, reflected edges: Tensor[B, S] -> Tensor[B, N_FFT // 2 + 1, M + 1]."""
    window = torch.hann_window(N_FFT, device=waveform.device, dtype=waveform.dtype)
    padded = torch.nn.functional.pad(waveform[:, None], (N_FFT // 2, N_FFT // 2), mode="reflect")[:, 0]
    spectrum = torch.stft(padded, N_FFT, hop_length, window=window, center=False, return_complex=True)
    return spectrum.abs()


def log_mel(waveform: Tensor, timeline: Timeline) -> Tensor:
    """Natural-log mel-spectrogram.

    Args:
        waveform: Tensor[B, S], full scale at 1.0, longer than half an FFT frame (512 samples).

    Returns:
        Tensor[B, M, mel_bins] with `M = S // hop_length`; the centred transform's one extra frame is dropped.
    """
    if waveform.shape[-1] <= N_FFT // 2:
        raise ValueError(f"a mel-spectrogram needs more than {N_FFT // 2} samples, got {waveform.shape[-1]}")
    filters = mel_filters(timeline.sample_rate, timeline.mel_bins).to(waveform)
    mel = torch.einsum("fk,bkm->bmf", filters, magnitudes(waveform, timeline.hop_length))
    return mel.clamp(min=LOG_FLOOR).log()[:, : waveform.shape[-1] // timeline.hop_length]
