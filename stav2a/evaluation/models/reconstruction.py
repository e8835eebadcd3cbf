"""Reconstruction error of VAE and vocoder on real test recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from stav2a.data.soundbank import SoundBank
from stav2a.metrics.buzz import frame_repetition
from stav2a.metrics.chance import bootstrap_ci
from stav2a.sound import vae as mel_vae
from stav2a.sound.equalise import equalised
from stav2a.sound.mel import log_mel
from stav2a.sound.stft_distance import stft_distance
from stav2a.sound.vocoder import vocode


@torch.no_grad()
def coded_and_decoded(pipe, waveform: np.ndarray) -> np.ndarray:
    """float32 [S] through the VAE and back to sound as the pipeline makes it: [S]."""
    mel = whole_mel(pipe, waveform)[:, None]
    return pipe.decode(mel_vae.encode(pipe.vae, mel), len(waveform))[0][0]


@torch.no_grad()
def vocoded(pipe, waveform: np.ndarray) -> np.ndarray:
    """float32 [S] as a mel and back to sound, equalised as the pipeline does, without the VAE: [S]."""
    mel = whole_mel(pipe, waveform)
    wave = vocode(pipe.vocoder, mel).float()
    wave = equalised(wave, mel.float(), pipe.timeline, pipe.defaults["equaliser_rounds"])
    return wave.clamp(-1, 1).cpu().numpy()[0, : len(waveform)]


def whole_mel(pipe, waveform: np.ndarray) -> torch.Tensor:
    """Log-mel Tensor[1, M, mel_bins] of float32 [S], padded with silence to a whole latent frame."""
    whole = pipe.timeline.hop_length * pipe.timeline.mel_per_latent
    padded = np.pad(waveform, (0, -len(waveform) % whole))
    return log_mel(torch.from_numpy(padded)[None].to(pipe.device), pipe.timeline).to(pipe.vae.dtype)


@torch.no_grad()
def reconstructions(pipe, bank: str | Path, count: int, seconds: float = 2.56) -> dict[str, dict]:
    """{figure: {"value", "ci95", "n"}} over `count` test recordings, evenly over the bank, padded to `seconds`.

    Log-mel distances are mean absolute differences of natural logarithms.
    """
    timeline = pipe.timeline
    samples = round(seconds * timeline.sample_rate)
    source = SoundBank(bank, "test")
    chosen = [source.entries[k] for k in np.linspace(0, len(source) - 1, min(count, len(source))).astype(int)]
    rows: dict[str, list[float]] = {}

    def repetition(wave: torch.Tensor) -> float | None:
        return frame_repetition(wave[0].numpy(), timeline.sample_rate, timeline.hop_length)

    for entry in chosen:
        wave = np.zeros(samples, np.float32)
        sound = source.load(entry)[:samples]
        wave[: len(sound)] = sound
        real = torch.from_numpy(wave)[None]
        mel = log_mel(real, timeline)
        given = mel.to(pipe.vae.dtype)
        coded = mel_vae.reconstructed(pipe.vae, given)
        vocoded = vocode(pipe.vocoder, given, samples).float()
        both, coded = vocode(pipe.vocoder, coded, samples).float(), coded.float()
        as_used = equalised(both, coded, timeline, pipe.defaults["equaliser_rounds"])
        for name, value in (
            ("VAE, log-mel distance", float((coded - mel).abs().mean())),
            ("vocoder, log-mel distance", float((log_mel(vocoded, timeline) - mel).abs().mean())),
            ("vocoder, multi-resolution STFT distance", float(stft_distance(real, vocoded))),
            ("VAE and vocoder, log-mel distance", float((log_mel(both, timeline) - mel).abs().mean())),
            ("VAE and vocoder, multi-resolution STFT distance", float(stft_distance(real, both))),
            ("the same, equalised as in use, log-mel distance", float((log_mel(as_used, timeline) - mel).abs().mean())),
            ("the same, equalised as in use, STFT distance", float(stft_distance(real, as_used))),
            ("repetition with the mel frames, real sound", repetition(real)),
            ("repetition with the mel frames, equalised as in use", repetition(as_used)),
        ):
            if value is not None:
                rows.setdefault(name, []).append(value)
    return {
        name: {"value": float(np.mean(values)), "ci95": list(bootstrap_ci(values)), "n": len(values)}
        for name, values in rows.items()
    }
