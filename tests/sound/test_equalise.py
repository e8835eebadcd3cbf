"""The equaliser: levels come to the mel-spectrogram, attacks stay where they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stav2a.sound.equalise import above_rumble, band_shares, equalised
from stav2a.sound.mel import log_mel
from stav2a.timeline import COMPACT

RATE = COMPACT.sample_rate


@pytest.fixture(scope="module")
def sound():
    """Three bursts of noise and a tone, silence around them: float32 [1, S]."""
    rng = np.random.default_rng(0)
    wave = np.zeros(2 * RATE)
    for start, level in ((4_000, 0.3), (14_000, 0.1), (24_000, 0.2)):
        wave[start : start + 4_000] += level * rng.standard_normal(4_000) * np.exp(-np.arange(4_000) / 600)
    wave[12_000:20_000] += 0.1 * np.sin(2 * np.pi * 700 * np.arange(8_000) / RATE)
    return torch.from_numpy(wave.astype(np.float32))[None]


def distance(wave, mel):
    return float((log_mel(wave, COMPACT) - mel).abs().mean())


def test_wrong_levels_are_mended(sound):
    mel = log_mel(sound, COMPACT)
    ramp = torch.linspace(0.3, 2.0, sound.shape[1])  # too quiet, then too loud
    wrong = sound * ramp
    found = [distance(equalised(wrong, mel, COMPACT, rounds), mel) for rounds in (0, 1, 2)]
    assert found[0] > 0.15 and found[1] < 0.3 * found[0] and found[2] <= found[1]
    error = equalised(wrong, mel, COMPACT, 2) - above_rumble(sound, COMPACT)
    assert float(error.square().mean() / sound.square().mean()) < 0.05


def test_no_sound_before_an_attack(sound):
    """What a phase search does: 64 ms before each attack it leaves an echo of it."""
    mel = log_mel(sound, COMPACT)
    other = torch.randn(sound.shape, generator=torch.Generator().manual_seed(1))
    envelope = (sound.abs().unfold(1, 80, 80).amax(-1) > 1e-4).repeat_interleave(80, 1)
    heard = equalised(0.05 * other * envelope, mel, COMPACT, 2)  # another sound at the same times
    before, after = heard[0, 3_200:3_840].square().mean(), heard[0, 4_000:4_640].square().mean()
    assert float(10 * torch.log10(after / (before + 1e-12))) > 30


def test_true_sound_stays_what_it_is(sound):
    made = equalised(sound, log_mel(sound, COMPACT), COMPACT, 2)
    assert torch.allclose(made, above_rumble(sound, COMPACT), atol=1e-3)
    assert float((made - sound).square().mean() / sound.square().mean()) < 0.01


def test_an_offset_goes_and_silence_before_it_stays(sound):
    offset = sound + 0.2 * (torch.arange(sound.shape[1]) >= 4_000)
    made = equalised(offset, log_mel(sound, COMPACT), COMPACT, 2)
    assert not made[0, :3_000].any()
    assert abs(float(made[0, 12_000:].mean())) < 0.002


def test_silence_stays_silent_and_no_rounds_change_nothing(sound):
    silent = torch.zeros(1, RATE)
    assert not equalised(silent, log_mel(silent, COMPACT), COMPACT, 2).any()
    assert equalised(sound, log_mel(sound, COMPACT), COMPACT, 0) is sound


def test_shares_of_the_bands_add_up():
    shares = band_shares(COMPACT)
    assert torch.isfinite(shares).all() and torch.allclose(shares.sum(0), torch.ones(shares.shape[1]))


@pytest.mark.parametrize("samples", [480, 640, 47 * RATE])
def test_any_length(samples):
    tone = 0.3 * torch.sin(2 * torch.pi * 440 * torch.arange(samples) / RATE)[None]
    mel = log_mel(torch.nn.functional.pad(tone, (0, 640)), COMPACT)[:, : samples // 160]
    assert equalised(tone, mel, COMPACT, 1).shape == tone.shape
