"""The bank classifier: shapes, invariances, saving, and what the built-in weights can do."""

import numpy as np
import pytest
import torch

from stav2a.data.soundbank import SoundBank
from stav2a.metrics.bank_classifier import ASSETS, BankClassifier, describe, rank_of, windows
from stav2a.sound.mel import log_mel
from stav2a.timeline import COMPACT
from stav2a.train import classifier as training

CLASSES = ["bell_ring", "dog_bark", "rain"]


@pytest.fixture
def model():
    torch.manual_seed(0)
    return BankClassifier(CLASSES, channels=(4, 8, 8, 8), embedding_dim=16).eval()


@pytest.mark.parametrize("frames", [32, 100, 256, 1024])
def test_shapes(model, frames):
    embedding, logits = model(torch.randn(2, frames, 64))
    assert embedding.shape == (2, 16)
    assert logits.shape == (2, 3)


def test_level_does_not_matter(model):
    waveform = torch.randn(1, 40_960, generator=torch.Generator().manual_seed(0))
    loud, soft = (model(log_mel(gain * waveform, COMPACT))[1] for gain in (0.5, 0.05))
    torch.testing.assert_close(loud, soft, atol=1e-3, rtol=1e-3)


def test_saved_and_loaded_says_the_same(model, tmp_path):
    model.save(tmp_path)
    again = BankClassifier.load(tmp_path)
    mel = torch.randn(1, 256, 64)
    torch.testing.assert_close(again(mel)[1], model(mel)[1], atol=5e-3, rtol=5e-3)
    assert again.classes == CLASSES
    with pytest.raises(FileNotFoundError, match="train classifier"):
        BankClassifier.load(tmp_path / "nothing")


def test_windows_cover_the_clip_and_leave_silence_out():
    rng = np.random.default_rng(0)
    assert windows(np.ones(10)).shape == (1, 40_960)
    assert windows(rng.standard_normal(163_840).astype(np.float32)).shape == (7, 40_960)
    late = np.zeros(163_840, np.float32)
    late[150_000:] = rng.standard_normal(13_840)
    assert windows(late).shape == (1, 40_960)
    assert windows(np.zeros(163_840, np.float32)).shape[0] == 7  # nothing is louder than silence here


def test_descriptions_of_any_length_are_probabilities(model):
    for length in (0, 100, 40_960, 100_000):
        features = describe(model, np.zeros(length, np.float32))
        assert features.probabilities.sum() == pytest.approx(1.0, abs=1e-5)
        assert np.isfinite(features.embeddings).all()


def test_ranks():
    assert rank_of(np.array([0.2, 0.7, 0.1]), CLASSES, "dog_bark") == 1
    assert rank_of(np.array([0.2, 0.7, 0.1]), CLASSES, "rain") == 3
    with pytest.raises(ValueError, match="no class"):
        rank_of(np.array([1.0]), ["rain"], "snow")


@pytest.fixture
def small_bank(tmp_path):
    import soundfile

    rng = np.random.default_rng(0)
    lines = ["path,class,kind,caption,material,duration_s,onsets,source,licence,split,author,original,group"]
    for split in ("train", "val", "test"):
        for index, cls in enumerate(("hiss", "tone")):
            name = f"{cls}_{split}.flac"
            seconds = np.arange(16_000) / 16_000
            sound = rng.standard_normal(16_000) * 0.2 if index == 0 else 0.5 * np.sin(2 * np.pi * 440 * seconds)
            soundfile.write(tmp_path / name, sound, 16_000)
            lines.append(f"{name},{cls},texture,a {cls},,1.0,,made,CC0,{split},me,{name},{name}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_examples_depend_on_the_index_alone(small_bank):
    bank = SoundBank(small_bank)
    data = training.Windows(bank, bank.classes, 8, seed=3)
    waveform, target = data[5]
    again, _ = training.Windows(bank, bank.classes, 8, seed=3)[5]
    np.testing.assert_array_equal(waveform, again)
    assert not np.array_equal(waveform, data[6][0])
    assert waveform.shape == (40_960,)
    assert target.sum() == pytest.approx(1.0)


def test_training_tells_a_hiss_from_a_tone(small_bank, tmp_path, capsys):
    import json

    from stav2a.__main__ import main

    out = tmp_path / "out"
    words = [f"bank={small_bank}", f"out={out}", "pool=48", "steps=25", "batch=8", "workers=0"]
    assert main(["train", "classifier", *words]) == 0
    report = json.loads((out / "metrics.json").read_text())
    assert report["val"]["n"] == report["test"]["n"] == 2
    assert report["val"]["top1"] == report["test"]["top1"] == 1.0
    assert str(small_bank) not in (out / "metrics.json").read_text()


@pytest.mark.parametrize(
    ("word", "message"), [("colour=red", "colour"), ("steps=many", "number"), ("pool=3", "bank=FOLDER")]
)
def test_wrong_settings_are_refused_by_name(word, message):
    with pytest.raises(ValueError, match=message):
        training.settings_from([word])


def test_built_in_weights_know_recordings_they_never_heard(shared):
    bank = SoundBank(shared / "soundbank", "test")
    model = BankClassifier.load(ASSETS)
    bank.entries = bank.entries[::4]
    result = training.measure(model, bank)
    assert result["n"] > 60
    assert result["top5"] > 5 * 5 / len(model.classes)  # five times chance
    assert (ASSETS / "model.safetensors").stat().st_size < 4_000_000
