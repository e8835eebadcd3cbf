"""The shelf is chosen from open licences of the training split only, in the same way every time."""

import csv
import hashlib

import numpy as np
import pytest
import soundfile
from knocks import RATE, knock

from stav2a.__main__ import main
from stav2a.recordings.shelf import Shelf

COLUMNS = "path,class,kind,caption,material,duration_s,onsets,source,licence,split,author,original,group"


@pytest.fixture
def bank(tmp_path):
    """Nine recordings of three classes; one of another split and one under a licence that binds what is made of it."""
    folder = tmp_path / "bank"
    rows = []
    for k in range(9):
        cls, licence, split = ("wood_hit", "metal_hit", "rain")[k % 3], "CC BY 3.0", "train"
        if k == 3:
            licence = "CC BY-SA 3.0"
        if k == 4:
            split = "test"
        path = folder / "audio" / cls / f"{k}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        texture = cls == "rain"
        wave = np.random.default_rng(k).normal(0, 0.1, 6 * RATE) if texture else knock(k)
        soundfile.write(path, wave, RATE)
        kind = "texture" if texture else "oneshot"
        about = [f"audio/{cls}/{k}.flac", cls, kind, f"{cls} is heard", "", len(wave) / RATE, "0", "here"]
        rows.append([*about, licence, split, f"Author {k}", f"{k}.wav", f"g{k}"])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS.split(","), *rows])
    return folder


def test_open_training_recordings_are_packed_alike_every_time(bank, tmp_path, capsys):
    digests = []
    for name in ("one", "two"):
        assert main(["data", "shelf", str(bank), "--out", str(tmp_path / name), "--size-mb", "1"]) == 0
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        digests.append([(p.relative_to(tmp_path / name), hashlib.sha256(p.read_bytes()).digest()) for p in files])
    assert digests[0] == digests[1]
    assert "7 recordings of 3 classes" in capsys.readouterr().out
    shelf = Shelf(tmp_path / "one")
    assert {r.original for r in shelf.recordings} == {f"{k}.wav" for k in range(9) if k not in (3, 4)}
    (struck, *_) = [r for r in shelf.recordings if r.cls == "wood_hit"]
    assert struck.attacks_s == pytest.approx((0.0,), abs=0.012)
    assert all(r.duration_s <= 4.6 and not r.attacks_s for r in shelf.recordings if r.kind == "texture")
    credits = (tmp_path / "one" / "CREDITS.md").read_text()
    assert "- Author 0: 0.wav" in credits and "Author 3" not in credits
    assert "https://creativecommons.org/licenses/by/3.0/" in credits


def test_size_is_kept_and_classes_take_turns(bank, tmp_path):
    assert main(["data", "shelf", str(bank), "--out", str(tmp_path / "s"), "--size-mb", "0.05"]) == 0
    shelf = Shelf(tmp_path / "s")
    assert sum(path.stat().st_size for path in (tmp_path / "s").rglob("*.opus")) <= 50_000
    assert shelf.classes == ["metal_hit", "rain", "wood_hit"]


def test_other_files_are_not_replaced(bank, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    assert main(["data", "shelf", str(bank), "--out", str(tmp_path / "mine")]) == 2
    assert "holds other files" in capsys.readouterr().err
    assert main(["data", "shelf", str(tmp_path), "--out", str(tmp_path / "s")]) == 2
    assert "no sound bank" in capsys.readouterr().err
