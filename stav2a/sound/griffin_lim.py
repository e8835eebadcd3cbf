"""Phase refinement of vocoded sound: fast Griffin-Lim iterations that start from the vocoder's own phase.

A small vocoder gets attacks and their timing right long before its fine structure. The mel-spectrogram says what the
magnitudes should be, and a few projections between magnitudes and consistent spectrograms (Griffin & Lim 1984, with
the momentum of Perraudin et al. 2013) bring the waveform there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stav2a.sound.mel import LOG_FLOOR, N_FFT, mel_filters
from stav2a.timeline import Timeline

MOMENTUM = 0.99
UPDATES = 30  # of the magnitudes that explain a mel-spectrogram
SEGMENT_S, OVERLAP_S = 20.0, 0.5  # long sounds pass in parts that are cross-faded


def linear_magnitudes(mel: Tensor, timeline: Timeline) -> Tensor:
    """log-mel Tensor[B, M, mel_bins] -> magnitudes Tensor[B, N_FFT // 2 + 1, M] with that mel-spectrogram.

    Multiplicative updates (Lee & Seung 2001) keep magnitudes positive; bins at the floor are silent.
    """
    filters = mel_filters(timeline.sample_rate, timeline.mel_bins).to(mel)
    wanted = mel.exp().transpose(1, 2)
    wanted = torch.where(wanted <= 1.05 * LOG_FLOOR, torch.zeros_like(wanted), wanted)
    target = torch.einsum("fk,bfm->bkm", filters, wanted)
    magnitudes = target / (filters.sum(0)[None, :, None] + 1e-8)
    for _ in range(UPDATES):  # filters by filters: their product would be full, and four times the work
        explained = torch.einsum("fk,bfm->bkm", filters, torch.einsum("fk,bkm->bfm", filters, magnitudes))
        magnitudes = magnitudes * target / (explained + 1e-8)
    return magnitudes


def refine(waveform: Tensor, mel: Tensor, timeline: Timeline, iterations: int) -> Tensor:
    """The waveform Tensor[B, S] with its phase kept and its magnitudes drawn to `mel` Tensor[B, M, mel_bins].

    S is M hops. No iterations give the waveform back.
    """
    if iterations < 1 or waveform.shape[1] <= N_FFT:
        return waveform
    hop = timeline.hop_length
    segment = round(SEGMENT_S * timeline.sample_rate / hop)
    overlap = round(OVERLAP_S * timeline.sample_rate / hop)
    out = torch.zeros_like(waveform)
    start = 0
    while True:
        stop = min(start + segment + overlap, mel.shape[1])
        if mel.shape[1] - stop < 2 * overlap:  # no short rest
            stop = mel.shape[1]
        part = _refined(waveform[:, start * hop : stop * hop], mel[:, start:stop], timeline, iterations)
        if start:  # rises where the part before it falls
            ramp = torch.linspace(0, 1, overlap * hop, device=part.device, dtype=part.dtype)
            out[:, start * hop : (start + overlap) * hop] *= 1 - ramp
            part[:, : overlap * hop] *= ramp
        out[:, start * hop : stop * hop] += part
        if stop == mel.shape[1]:
            return out
        start = stop - overlap


def _refined(waveform: Tensor, mel: Tensor, timeline: Timeline, iterations: int) -> Tensor:
    window = torch.hann_window(N_FFT, device=waveform.device)
    options = {"n_fft": N_FFT, "hop_length": timeline.hop_length, "window": window}
    wave, samples = waveform.float(), waveform.shape[1]
    magnitudes = linear_magnitudes(mel.float(), timeline)
    # the centred transform has one frame more than the mel-spectrogram
    magnitudes = torch.cat([magnitudes, magnitudes[..., -1:]], -1)

    spectrum = torch.stft(wave, **options, return_complex=True)
    before = torch.zeros_like(spectrum)
    phase = spectrum / (spectrum.abs() + 1e-9)
    for step in range(iterations):
        wave = torch.istft(magnitudes * phase, **options, length=samples)
        if step == iterations - 1:
            break
        spectrum = torch.stft(wave, **options, return_complex=True)
        pushed = spectrum - MOMENTUM / (1 + MOMENTUM) * before
        phase, before = pushed / (pushed.abs() + 1e-9), spectrum
    return wave.to(waveform.dtype)
