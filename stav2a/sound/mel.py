"""Log-mel front end of the paper's VAE and vocoder (AudioLDM's settings, as the authors' code computes them)."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torchaudio.transforms import MelSpectrogram

from stav2a.timeline import Timeline

N_FFT = 1024
LOG_FLOOR = 1e-5  # amplitudes below are silence: ln(1e-5) = -11.5


@lru_cache(maxsize=8)
def mel_transform(
    sample_rate: int, hop_length: int, mel_bins: int, device: torch.device, dtype: torch.dtype
) -> MelSpectrogram:
    """Slaney mel bands from 0 Hz to half the sample rate of magnitudes; Hann window, reflected edges."""
    return MelSpectrogram(
        sample_rate, N_FFT, hop_length=hop_length, n_mels=mel_bins, power=1.0, norm="slaney", mel_scale="slaney"
    ).to(device, dtype)


def mel_filters(sample_rate: int, mel_bins: int) -> Tensor:
    """Tensor[mel_bins, N_FFT // 2 + 1], float32 on the CPU."""
    return mel_transform(sample_rate, N_FFT, mel_bins, torch.device("cpu"), torch.float32).mel_scale.fb.T.contiguous()


def log_mel(waveform: Tensor, timeline: Timeline) -> Tensor:
    """Natural-log mel-spectrogram.

    Args:
        waveform: Tensor[B, S], full scale at 1.0, longer than half an FFT frame (512 samples).

    Returns:
        Tensor[B, M, mel_bins] with `M = S // hop_length`; the centred transform's one extra frame is dropped.
    """
    if waveform.shape[-1] <= N_FFT // 2:
        raise ValueError(f"a mel-spectrogram needs more than {N_FFT // 2} samples, got {waveform.shape[-1]}")
    rates = timeline.sample_rate, timeline.hop_length, timeline.mel_bins
    mel = mel_transform(*rates, waveform.device, waveform.dtype)(waveform).transpose(1, 2)
    return mel.clamp(min=LOG_FLOOR).log()[:, : waveform.shape[-1] // timeline.hop_length]
