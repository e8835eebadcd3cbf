"""The bank classifier: shapes, invariances, saving, and what the built-in weights can do."""

import json

import numpy as np
import pytest
import torch

from stav2a.__main__ import main
from stav2a.data.soundbank import SoundBank
from stav2a.metrics.bank_classifier import ASSETS, BankClassifier, describe, rank_of, windows
from stav2a.sound.mel import log_mel
from stav2a.timeline import COMPACT
from stav2a.train.sources.classifier_examples import Examples, in_a_room
from stav2a.train.stages import classifier as training

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
    assert windows(np.ones(10), 2.56).shape == (1, 40_960)
    assert windows(rng.standard_normal(163_840).astype(np.float32), 2.56).shape == (7, 40_960)
    assert windows(rng.standard_normal(163_840).astype(np.float32), 1.6).shape == (12, 25_600)
    late = np.zeros(163_840, np.float32)
    late[150_000:] = rng.standard_normal(13_840)
    assert windows(late, 2.56).shape == (1, 40_960)
    assert windows(np.zeros(163_840, np.float32), 2.56).shape[0] == 7  # nothing is louder than silence here


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
    examples = Examples(bank, 1.6, seed=3)
    mels, targets = examples.batch(5, 2)
    again, _ = Examples(bank, 1.6, seed=3)(6)
    np.testing.assert_array_equal(mels[1], again)
    assert not torch.equal(mels[0], mels[1])
    assert mels.shape == (2, 160, 64) and mels.dtype == torch.float32
    torch.testing.assert_close(targets.sum(1), torch.ones(2))
    assert np.isfinite(mels).all() and mels.min() >= np.log(1e-5) - 1e-4


def test_unmixed_examples_sound_like_their_class(small_bank):
    """A tone fills few bands, a hiss many, whatever the room, the microphone and the noise."""
    bank = SoundBank(small_bank)
    examples = Examples(bank, 1.6, seed=0, mixed=0.0)
    wide = {0: [], 1: []}
    for index in range(60):
        mel, target = examples(index)
        power = np.exp(2 * mel).mean(0)
        wide[int(target.argmax())].append((power > power.max() / 100).sum())
    assert np.median(wide[0]) > 2 * np.median(wide[1])


def test_a_room_only_adds_a_decaying_tail():
    power = np.zeros((100, 4), np.float32)
    power[10] = 1.0
    heard = in_a_room(power, np.random.default_rng(0))
    np.testing.assert_allclose(heard[:11], power[:11])
    assert (np.diff(heard[11:, 0]) < 0).all() and 0 < heard[11, 0] < 1


def words(bank, out, **changes):
    settings = {
        "bank": bank, "out": out / "logs", "parts": out, "steps": 100, "batch_size": 8, "warmup": 2, "ema_decay": 0.9,
        "lr": 2e-3, "save_every": 50, "validate_every": 100, "validation_batches": 1, "options.width": 4,
    }  # fmt: skip
    return [f"{name}={value}" for name, value in {**settings, **changes}.items()]


def test_training_tells_a_hiss_from_a_tone(small_bank, tmp_path):
    assert main(["train", "classifier", *words(small_bank, tmp_path / "made")]) == 0
    made = tmp_path / "made" / "bank_classifier"
    report = json.loads((made / "metrics.json").read_text())
    assert report["val"]["n"] == report["test"]["n"] == 2
    assert report["val"]["top1"] == report["test"]["top1"] == 1.0
    model = BankClassifier.load(made)
    assert model.classes == ["hiss", "tone"] and model.window_s == 1.6


def test_a_class_without_a_recording_in_a_split_keeps_its_place(small_bank):
    bank = SoundBank(small_bank, "val")
    bank.entries = [entry for entry in bank.entries if entry.cls == "tone"]
    targets = Examples(bank, 1.6, seed=0, classes=["hiss", "tone"]).batch(0, 4)[1]
    torch.testing.assert_close(targets, torch.tensor([[0.0, 1.0]]).expand(4, 2))
    with pytest.raises(ValueError, match="no recording"):
        Examples(bank, 1.6, seed=0, classes=["rain"])


def test_it_learns_from_a_bank_alone(small_bank, tmp_path, capsys):
    assert main(["train", "classifier", *words("''", tmp_path)]) == 2
    assert "give bank=FOLDER" in capsys.readouterr().err


def test_built_in_weights_know_recordings_they_never_heard(shared):
    bank = SoundBank(shared / "soundbank", "test")
    model = BankClassifier.load(ASSETS)
    bank.entries = bank.entries[::4]
    result = training.measure(model, bank)
    assert result["n"] > 60
    assert result["top5"] > 5 * 5 / len(model.classes)  # five times chance
    assert (ASSETS / "model.safetensors").stat().st_size < 4_000_000
