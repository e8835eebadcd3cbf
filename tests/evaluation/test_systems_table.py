"""The table of all systems: each on the same clips, made once, with intervals and chance levels."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from clips import make
from tone_bank import write_bank

from stav2a.__main__ import main
from stav2a.commands.measure.systems import markdown
from stav2a.condition.layout_kinds import LayoutKind
from stav2a.evaluation.models.painted import heard_as_painted
from stav2a.evaluation.models.systems_figure import figure


@pytest.fixture
def bank(tmp_path):
    """The tone bank with recordings of its own for tests."""
    folder = tmp_path / "bank"
    folder.mkdir()
    write_bank(folder)
    manifest = folder / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",val,", ",test,"))
    return folder


def test_two_models_on_rendered_and_real_clips(tmp_path, bank, tiny_pipeline, capsys):
    for name in ("one", "other"):
        tiny_pipeline.save_pretrained(tmp_path / name)
    (tmp_path / "clips").mkdir()
    for k in range(2):
        make(tmp_path / "clips" / f"{k}.mp4")
    make(tmp_path / "clips" / "silent.mp4", sound=False)
    out = tmp_path / "out"
    words = ["systems", "--models", f"{tmp_path}/one,{tmp_path}/other", "--bank", str(bank), "--count", "2"]
    words += ["--duration", "1.28", "--clips", str(tmp_path / "clips"), "--steps", "1", "--trials", "4"]
    assert main([*words, "--out", str(out)]) == 0
    report = json.loads((out / "systems.json").read_text())
    assert list(report) == ["FoleyWorld test", "Real clips"]
    for rows in report.values():
        assert list(rows) == ["one", "other"]
        first, second = (rows[name]["metrics"] for name in ("one", "other"))  # the same model twice
        assert first.keys() == second.keys()
        for metric in first:  # threads may round otherwise
            assert first[metric]["mean"] == pytest.approx(second[metric]["mean"], rel=1e-2, abs=1e-2), metric
        entry = rows["one"]["metrics"]["onset_f1_50ms"]
        assert entry["n"] == 2 and entry["chance"] is not None and entry["ci95"][0] <= entry["mean"] <= entry["ci95"][1]
        assert rows["one"]["n"] == 2 and rows["one"]["seconds_a_clip"] > 0
    text = (out / "systems.md").read_text()
    assert "### Real clips, n = 2" in text and "| one |" in text and "onset_f1_50ms ↑" in text and "w_dis ↓" in text
    assert (out / "systems.png").read_bytes().startswith(b"\x89PNG")
    made = out / "Real_clips" / "one" / "0.wav"
    before = made.stat().st_mtime_ns
    capsys.readouterr()
    assert main([*words, "--out", str(out), "--json"]) == 0
    assert made.stat().st_mtime_ns == before  # what is there is not made again
    assert json.loads(capsys.readouterr().out)["Real clips"].keys() == {"one", "other"}


def test_a_painted_layout_is_compared_with_what_is_heard_of_it(tiny_pipeline):
    """A pipeline that plays what is painted has a correlation near 1; one that plays the same anyway is at chance."""

    class Player:
        timeline, system = tiny_pipeline.timeline, SimpleNamespace(kind=LayoutKind())

        def __init__(self, deaf: bool):
            self.deaf = deaf

        def encode_video(self, frames):
            steps = len(frames)
            rows = self.system.kind.rows_of(steps)
            predicted = np.linspace(0, 1, rows * 5, dtype=np.float32).reshape(rows, 5)
            return SimpleNamespace(layout=predicted, features=torch.zeros(1, steps, 1))

        def __call__(self, video, *, layout, seed, strength):
            """Noise as loud as the bands of the layout, one after the other row."""
            level = np.exp(6 * (video.layout if self.deaf else layout).mean(1) - 6)
            samples = len(video.features[0]) * 640
            noise = np.random.default_rng(seed).normal(size=samples) * 0.05
            shaped = noise * np.repeat(level, -(-samples // len(level)))[:samples]
            return SimpleNamespace(waveforms=shaped[None].astype(np.float32))

    clips = [np.zeros((length, 8, 8, 3), np.uint8) for length in (64, 80, 64, 64, 80, 64)]
    heard, deaf = (heard_as_painted(Player(deaf), clips, strength=1.0) for deaf in (False, True))
    assert heard["mean"] > 0.5 and heard["gain_ci95"][0] > 0.2 and heard["n"] == 6
    assert abs(deaf["gain"]) < 0.3 < heard["gain"]


def test_parameters_count_every_weight_once(tiny_pipeline):
    from stav2a.commands.measure.systems import parameters

    parts = [p for p in tiny_pipeline.components.values() if hasattr(p, "parameters")]
    assert parameters(tiny_pipeline) == sum(w.numel() for p in parts for w in p.parameters())


def test_cells_show_interval_and_chance():
    entry = {"mean": 0.5, "ci95": (0.4, 0.6), "chance": 0.25, "gain": 0.2, "p": 0.01, "n": 9}
    bare = {"mean": 2.0, "ci95": None, "chance": None, "gain": None, "p": None, "n": 9}
    rows = {"tiva": {"n": 9, "parameters": 2.5e7, "seconds_a_clip": 1.26, "metrics": {"w_dis": entry, "is_bank": bare}}}
    text = markdown("Real clips", rows)
    assert "| tiva | 25.0 | 1.3 | 0.500 ± 0.100 (0.250, p 0.01) | 2.000 |" in text


def test_the_figure_has_a_dot_a_system_and_its_intervals():
    def row(gain: float, distance: float) -> dict:
        timing = {"mean": gain + 0.2, "gain": gain, "gain_ci95": (gain - 0.1, gain + 0.2)}
        return {"n": 9, "metrics": {"onset_f1_50ms": timing, "fd_bank": {"mean": distance, "ci95": None}}}

    rows = {"sta-v2a": row(0.5, 300.0), "t2a": row(0.0, 200.0), "unheard": {"n": 9, "metrics": {}}}
    (panel,) = figure({"Real clips": rows}).axes
    assert [text.get_text() for text in panel.texts] == ["sta-v2a", "t2a"]
    assert [tuple(text.xy) for text in panel.texts] == [(0.5, 300.0), (0.0, 200.0)]
    ((ends,),) = (bars.get_segments() for bars in panel.collections[:1])
    assert sorted(ends[:, 0]) == pytest.approx([0.4, 0.7])
    assert panel.yaxis_inverted() and panel.get_title() == "Real clips, n = 9"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Give --bank"),
        (["--bank", "nowhere", "--count", "1"], "at least 2"),
        (["--clips", "."], "0 clips with sound"),
    ],
)
def test_what_cannot_be_compared_is_told(words, sentence, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["systems", "--models", "tiny", *words]) == 2
    assert sentence in capsys.readouterr().err


def test_nothing_trained_is_told(monkeypatch, capsys):
    monkeypatch.setattr("stav2a.systems.present", list)
    assert main(["systems", "--clips", "."]) == 2
    assert "No system has weights here" in capsys.readouterr().err
