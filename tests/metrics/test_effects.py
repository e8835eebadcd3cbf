"""aiSFX, the listener that this project did not train: its spectrogram, its windows, and what it hears alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stav2a.metrics import effects
from stav2a.metrics.classifier import Unavailable, load_tagger

RATE = effects.SAMPLE_RATE


def tone(hz: float, seconds: float = 3.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE).astype(np.float32)


def test_mel_bands_are_triangles_of_sum_one_in_rising_order():
    bands = effects.mel_bands()
    assert bands.shape == (96, 1025)
    torch.testing.assert_close(bands.sum(1), torch.ones(96))
    assert (bands.argmax(1).diff() > 0).all()


@pytest.mark.parametrize("hz", [200.0, 1000.0, 9000.0])
def test_the_spectrogram_peaks_at_the_tone_whatever_its_level(hz):
    spectrum = effects.spectrogram(tone(hz))
    centre = (effects.mel_bands() * torch.linspace(0, RATE / 2, 1025)).sum(1)[spectrum[60].argmax()]
    assert abs(centre / hz - 1) < 0.1
    assert 0.8 < spectrum.max() < 1, "full scale is about the brightest of the training"
    torch.testing.assert_close(effects.spectrogram(0.01 * tone(hz)), spectrum, atol=1e-3, rtol=0)


def test_windows_overlap_by_half_and_a_short_sound_fills_one():
    assert effects.blocks(torch.ones(30, 96)).shape == (1, 100, 96)
    windows = effects.blocks(torch.arange(220.0)[:, None].expand(220, 96))
    assert windows.shape == (3, 100, 96) and windows[2, 0, 0] == 100


def test_noise_is_nearer_to_other_noise_than_to_a_tone():
    pytest.importorskip("aisfx", reason="pip install --no-deps aisfx")
    listener = load_tagger("aisfx")
    rng = np.random.default_rng(0)
    sounds = (rng.normal(size=3 * RATE), 0.1 * rng.normal(size=3 * RATE), tone(700.0))
    (one, chances), (other, _), (whistle, _) = (listener.describe(sound.astype(np.float32)) for sound in sounds)
    assert one.shape == (1, 512) and chances.shape == (78,) and chances.sum() == pytest.approx(1, abs=1e-4)
    assert np.linalg.norm(one - other) < 0.3 * np.linalg.norm(one - whistle)
    assert np.isfinite(listener.describe(np.zeros(RATE, np.float32))[0]).all()


def test_without_its_package_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("stav2a.metrics.classifier.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="--no-deps aisfx"):
        load_tagger("aisfx")
