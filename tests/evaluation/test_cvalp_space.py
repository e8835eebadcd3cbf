"""TA-V2A's space and guidance measured: retrieval between picture, sound and caption, and what each scale steers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small_systems import pipeline_of
from tone_bank import write_bank

from stav2a.__main__ import main
from stav2a.evaluation.models.retrieval import Space, recalled, table
from stav2a.evaluation.models.steering import others
from stav2a.sound.audio_encoder import MelEncoder


@pytest.fixture
def bank(tmp_path):
    """Tones of two classes that the classifier knows, all of the test split."""
    folder = tmp_path / "bank"
    folder.mkdir()
    manifest = write_bank(folder, ("hammer", "footstep")) / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",train,", ",test,"))
    return folder


@pytest.fixture
def checkpoint(tmp_path, tiny_pipeline):
    pipeline_of(tiny_pipeline, "ta-v2a").save_pretrained(tmp_path / "ta-v2a")
    return tmp_path / "ta-v2a"


def test_recall_counts_the_right_ones_among_the_first():
    similarity = np.array([[0.9, 0.1, 0.2], [0.5, 0.4, 0.3], [0.3, 0.2, 0.1]])
    figures = recalled(np.hstack([similarity, np.zeros((3, 7))]), np.eye(3, 10, dtype=bool))
    assert figures["R@1"]["value"] == pytest.approx(1 / 3)  # the second is second, the third is third
    assert figures["R@5"]["value"] == 1 and figures["R@5"]["chance"] == pytest.approx(0.5)
    low, high = figures["R@1"]["ci95"]
    assert low <= 1 / 3 <= high and figures["R@1"]["chance"] == pytest.approx(0.1) and figures["R@1"]["n"] == 3


def test_clips_with_one_caption_are_all_right_for_it():
    units = np.eye(6, dtype=np.float32)
    space = Space(["rain", "rain", *"abcd"], video=units, text=units[[1, 0, 2, 3, 4, 5]], audio=units)
    found = table(space)
    assert list(found) == [
        "video → audio", "audio → video", "text → audio", "audio → text", "video → text", "text → video",
    ]  # fmt: skip
    assert all(row["R@1"]["value"] == 1 for row in found.values())
    assert found["video → audio"]["R@1"]["chance"] == pytest.approx(1 / 6)
    assert found["text → audio"]["R@1"]["chance"] == pytest.approx((2 * 2 + 4) / 36)
    assert list(table(Space(space.captions, units, units, None))) == ["video → text", "text → video"]


def test_a_caption_is_of_another_class():
    assert others(["dog", "dog", "bell"]) == [2, 2, 0]
    with pytest.raises(ValueError, match="one class"):
        others(["dog", "dog"])


def test_retrieval_of_a_checkpoint_with_and_without_its_sound_encoder(bank, checkpoint, tiny_pipeline, capsys):
    words = ["retrieval", "--model", str(checkpoint), "--bank", str(bank), "--count", "5", "--duration", "1.28"]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "| video → text | 5 |" in shown.out and "audio" not in shown.out and "no sound encoder" in shown.err
    width = tiny_pipeline.video_encoder.config.feature_dim
    MelEncoder(width, 4, tiny_pipeline.timeline.mel_per_latent).save_pretrained(checkpoint / "audio_encoder")
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == 6 and found["video → audio"]["R@1"]["chance"] == pytest.approx(0.2)
    assert main(["retrieval", "--model", "tiny", "--bank", str(bank)]) == 2
    assert "no space of picture, sound and caption" in capsys.readouterr().err


def test_each_scale_is_turned_alone(bank, checkpoint, tmp_path, capsys):
    words = ["steering", "--model", str(checkpoint), "--bank", str(bank), "--count", "6", "--duration", "1.28"]
    assert main([*words, "--values", "0", "4", "--json", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [(row["scale"], row["value"]) for row in rows] == [
        (scale, value) for scale in ("caption", "negative caption", "picture") for value in (0, 4)
    ]
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        assert 0 <= first["caption_rank"]["value"] <= 1 and first["caption_rank"]["n"] == first["negative_rank"]["n"]
        assert {k: first[k] for k in ("caption_rank", "negative_rank")} != {
            k: second[k] for k in ("caption_rank", "negative_rank")
        }
    assert "| negative caption | 4 |" in capsys.readouterr().out
    assert main(["steering", "--model", "tiny", "--bank", str(bank)]) == 2
    assert "negative_guidance_scale" in capsys.readouterr().err
