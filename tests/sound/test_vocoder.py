"""The vocoder's noise: where it comes from, that it is the same every time, and that repetition is what it prevents."""

from __future__ import annotations

import pytest
import torch

from stav2a.sound.vocoder import build_vocoder, vocode, widened, with_noise
from stav2a.train.stages.vocoder import repetition_distance


def test_noise_follows_the_bands_once():
    vocoder, mel = build_vocoder("compact"), torch.randn(2, 20, 64)
    noisy = with_noise(vocoder, mel)
    assert noisy.shape == (2, 20, vocoder.config.model_in_dim) and vocoder.config.model_in_dim > 64
    assert torch.equal(noisy[..., :64], mel) and torch.equal(noisy[0, :, 64:], noisy[1, :, 64:])
    assert noisy[..., 64:].std() == pytest.approx(1, abs=0.2)
    assert with_noise(vocoder, noisy) is noisy, "what has noise gets no more"
    plain = build_vocoder("paper")
    assert with_noise(plain, mel) is mel, "the paper's takes none"


def test_the_same_spectrogram_makes_the_same_sound():
    torch.manual_seed(0)
    vocoder, mel = build_vocoder("compact").eval(), torch.randn(1, 20, 64)
    with torch.no_grad():
        first = vocode(vocoder, mel)
        torch.manual_seed(5)
        assert torch.equal(vocode(vocoder, mel), first)
        assert torch.equal(vocode(vocoder, with_noise(vocoder, mel)), first)


def test_an_older_vocoder_gets_room_for_noise():
    torch.manual_seed(0)
    old = build_vocoder("tiny").eval()
    mel = torch.randn(1, 12, 64)
    with torch.no_grad():
        before = vocode(old, mel)
        new = widened(old, 80)
        assert new.config.model_in_dim == 80 and len(new.mean) == len(new.scale) == 80
        silent = torch.cat([mel, torch.zeros(1, 12, 16)], 2)
        torch.testing.assert_close(vocode(new, silent), before)
        assert not torch.allclose(vocode(new, mel), before), "the noise is heard"
    with pytest.raises(ValueError, match="takes 80 channels, more than 64"):
        widened(new, 64)


def test_repetition_with_the_mel_frames_costs():
    torch.manual_seed(0)
    noise = 0.1 * torch.randn(2, 8000)
    same, other = repetition_distance(noise, noise, 160), repetition_distance(noise, 0.1 * torch.randn(2, 8000), 160)
    third = noise[:, :480].repeat(1, 17)[:, :8000]
    frozen = noise[:, :160].repeat(1, 50)
    assert same == 0 and other < 0.005
    assert 0.05 < repetition_distance(noise, third, 160) < repetition_distance(noise, frozen, 160)
    assert repetition_distance(frozen, frozen, 160) == 0, "what really repeats itself may do so"
    assert repetition_distance(torch.zeros(2, 8000), torch.zeros(2, 8000), 160) == 0
