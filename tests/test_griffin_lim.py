"""Phase refinement: magnitudes from a mel-spectrogram, and sound that comes closer to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stav2a.sound.griffin_lim import linear_magnitudes, refine
from stav2a.sound.mel import log_mel, mel_filters
from stav2a.timeline import COMPACT


@pytest.fixture(scope="module")
def sound():
    """Two decaying tones and a burst of noise, silence around them: float32 [1, S]."""
    rng = np.random.default_rng(0)
    time = np.arange(16_000) / 16_000
    wave = np.zeros(32_000)
    wave[4_000:20_000] += 0.5 * np.sin(2 * np.pi * 700 * time) * np.exp(-6 * time)
    wave[12_000:28_000] += 0.3 * np.sin(2 * np.pi * 1900 * time) * np.exp(-9 * time)
    wave[22_000:24_000] += 0.2 * rng.standard_normal(2_000) * np.exp(-np.arange(2_000) / 400)
    return torch.from_numpy(wave.astype(np.float32))[None]


def distance(wave, mel):
    return float((log_mel(wave, COMPACT) - mel).abs().mean())


def test_magnitudes_have_the_mel_they_are_made_for(sound):
    mel = log_mel(sound, COMPACT)
    magnitudes = linear_magnitudes(mel, COMPACT)
    assert (magnitudes >= 0).all()
    again = torch.einsum("fk,bkm->bmf", mel_filters(16_000, 64), magnitudes).clamp(min=1e-5).log()
    assert float((again - mel).abs().mean()) < 0.05


def test_a_wrong_phase_comes_closer_with_every_doubling(sound):
    mel = log_mel(sound, COMPACT)
    noise = 0.1 * torch.randn(sound.shape, generator=torch.Generator().manual_seed(0))
    distances = [distance(refine(noise, mel, COMPACT, iterations), mel) for iterations in (1, 4, 16)]
    assert distance(noise, mel) > distances[0] > distances[1] > distances[2]
    assert distances[2] < 0.5


def test_true_sound_stays_what_it_is(sound):
    mel = log_mel(sound, COMPACT)
    refined = refine(sound, mel, COMPACT, 4)
    assert float((refined - sound).square().mean() / sound.square().mean()) < 0.1


def test_silence_stays_silent_and_nothing_is_done_without_iterations(sound):
    silent = torch.zeros(1, 16_000)
    assert not refine(silent, log_mel(silent, COMPACT), COMPACT, 8).any()
    assert refine(sound, log_mel(sound, COMPACT), COMPACT, 0) is sound


@pytest.mark.parametrize("seconds", [0.08, 20.4, 47.0])
def test_any_length_without_a_seam(seconds):
    samples = round(seconds * 100) * 160
    time = torch.arange(samples) / 16_000
    tone = (0.3 * torch.sin(2 * torch.pi * 440 * time))[None]
    refined = refine(tone, log_mel(tone, COMPACT), COMPACT, 2)
    assert refined.shape == tone.shape
    inside = refined[:, 2_000:-2_000] if samples > 8_000 else refined
    levels = inside.unfold(1, 400, 400).square().mean(-1).sqrt() if samples > 8_000 else inside.abs()
    assert float(levels.max() / levels.mean()) < 1.3 or samples <= 8_000
    assert float(levels.min() / levels.mean()) > 0.7 or samples <= 8_000
