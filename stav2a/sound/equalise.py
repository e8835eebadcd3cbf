"""An equaliser that brings vocoded sound to the mel-spectrogram it was made of.

A small vocoder places attacks exactly and misses levels: bands are some dB off here and there. A filter that follows
the difference of the log-mels, band by band and frame by frame, corrects the levels and leaves finer structure to the
vocoder.

Replacing the magnitudes instead (Griffin & Lim) comes nearer to the mel-spectrogram, but a mel frame lasts 64 ms and
has no time inside: attacks spread over the whole frame, and half of the timing is lost (docs/history.md).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchaudio.functional import highpass_biquad

from stav2a.sound.mel import N_FFT, log_mel, mel_filters
from stav2a.timeline import Timeline

WINDOW = 512  # samples, 32 ms: the filter changes within half a mel frame
RUMBLE_HZ = 20.0
LARGEST = 1.5  # change of a round, nepers (13 dB)


def equalised(waveform: Tensor, mel: Tensor, timeline: Timeline, rounds: int) -> Tensor:
    """Tensor[B, S] filtered towards log-mel Tensor[B, M, mel_bins]; S is M hops. No rounds give the waveform back."""
    if rounds < 1 or waveform.shape[1] <= N_FFT // 2:
        return waveform
    hop, dtype = timeline.hop_length, waveform.dtype
    options: dict[str, Any] = {
        "n_fft": WINDOW,
        "hop_length": hop,
        "window": torch.hann_window(WINDOW, device=waveform.device),
    }
    spread = band_shares(timeline).to(waveform.device)
    wave, mel = waveform.float(), mel.float()
    for _ in range(rounds):
        change = (mel - log_mel(wave, timeline)).clamp(-LARGEST, LARGEST)
        gains = torch.einsum("fk,bmf->bkm", spread, change)
        gains = torch.cat([gains, gains[..., -1:]], -1).exp()  # the centred transform has one frame more
        spectrum = torch.stft(wave, **options, return_complex=True)
        wave = torch.istft(spectrum * gains, **options, length=wave.shape[1])
    return above_rumble(wave, timeline).to(dtype)


def above_rumble(waveform: Tensor, timeline: Timeline) -> Tensor:
    """Tensor[B, S] without what no ear hears and takes the room of what is heard: a vocoder's offset and slow drift.

    The filter is causal, so that silence before an attack stays silent. It goes sample by sample, on the CPU: 6 ms for
    10 s, and slower on a GPU.
    """
    return highpass_biquad(waveform.cpu(), timeline.sample_rate, RUMBLE_HZ).to(waveform.device)


def band_shares(timeline: Timeline) -> Tensor:
    """How much of each mel band's change a bin of the equaliser takes: Tensor[mel_bins, WINDOW // 2 + 1], columns
    add up to 1. Bins beyond the outermost bands follow those."""
    filters = mel_filters(timeline.sample_rate, timeline.mel_bins)
    covered = torch.nonzero(filters.sum(0) > 1e-6)[:, 0]
    nearest = torch.arange(filters.shape[1]).clamp(int(covered[0]), int(covered[-1]))
    shares = filters[:, nearest]
    shares = functional.interpolate(shares[None], size=WINDOW // 2 + 1, mode="linear", align_corners=True)[0]
    return shares / shares.sum(0)
