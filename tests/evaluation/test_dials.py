"""The table of dials: its combinations, its costs, and one run with the tiny model."""

from __future__ import annotations

import argparse
import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
from clips import make
from PIL import Image
from tone_bank import write_bank

from stav2a.__main__ import main
from stav2a.commands.measure.dials import combinations
from stav2a.evaluation.models.dials import Row
from stav2a.evaluation.models.dials_figure import figure
from stav2a.evaluation.models.judged import heard_by
from stav2a.metrics.classifier import Tagger


def asked(**changes) -> argparse.Namespace:
    own = dict.fromkeys(("steps", "guidance", "video_guidance", "share", "power", "rescale", "strength", "sampler"))
    return argparse.Namespace(**{**own, **changes})


def test_passes_count_every_branch():
    assert Row(8, 3, 3, 1.0, 1.0).evaluations() == 16
    assert Row(8, 3, 2, 1.0, 1.0).evaluations() == 24
    assert Row(8, 3, 3, 0.5, 1.0).evaluations() == 12
    assert Row(8, 1, 1, 1.0, 1.0).evaluations() == 8
    assert Row(8, 3, 3, 0.5, 1.0, strength=0.7).evaluations() == 6 + 3
    assert Row(8, 3, 3, 0.5, 1.0, strength=0.0).evaluations() == 0


def test_combinations_start_with_the_cheapest_and_keep_what_was_not_asked_for():
    own = {
        "steps": 12,
        "guidance_scale": 3.0,
        "video_guidance_scale": 2.0,
        "guided_share": 1.0,
        "timestep_power": 1.0,
        "guidance_rescale": 0.0,
        "strength": 0.8,
        "sampler": "unipc",
    }
    rows = combinations(asked(steps=[25, 4], video_guidance=[0.0, 1.0]), own)
    assert [(r.steps, r.video) for r in rows] == [(4, 3.0), (4, 1.0), (25, 3.0), (25, 1.0)] or [
        (r.steps, r.video) for r in rows
    ] == [(4, 1.0), (4, 3.0), (25, 1.0), (25, 3.0)]
    assert {(r.text, r.guided_share, r.timestep_power, r.strength, r.sampler) for r in rows} == {
        (3.0, 1.0, 1.0, 0.8, "unipc")
    }
    assert [r.sampler for r in combinations(asked(sampler=["unipc", "ddim"]), own)] == ["ddim", "unipc"]
    assert [r.strength for r in combinations(asked(strength=[1.0, 0.0]), own)] == [0.0, 1.0]


def test_curves_follow_the_dial_that_turns():
    row = {"steps": 6, "guided_share": 0.5, "timestep_power": 1.75, "rescale": 0.6, "strength": 1.0, "onset_gain": 0.5}
    row |= {"diversity": None, "sampler": "ddim"}
    rows = [
        {**row, "text": text, "video": video, "top5": text / 10, "top5_ci95": [0.0, 1.0], "fd_bank": 200 + text}
        for text, video in ((3.0, 3.0), (1.0, 1.0), (5.0, 5.0), (3.0, 1.0), (5.0, 1.0))
    ]
    drawn = figure(rows)
    (alone, together) = sorted(drawn.axes[0].get_lines(), key=lambda line: "as the caption" in line.get_label())
    assert "guidance of the picture 1" in alone.get_label()
    assert list(together.get_xdata()) == [1, 3, 5] == list(alone.get_xdata())
    assert list(together.get_ydata()) == pytest.approx([0.1, 0.3, 0.5])
    samplers = figure([{**each, "sampler": name} for name in ("ddim", "unipc") for each in rows[:3]])
    assert {line.get_label().rsplit(" ", 1)[-1] for line in samplers.axes[0].get_lines()} == {"ddim", "unipc"}
    (steps,) = figure([{**rows[0], "steps": 12}, rows[0]]).axes[2].get_lines()
    assert list(steps.get_xdata()) == [6, 12]
    with pytest.raises(ValueError, match="two values"):
        figure(rows[:1])


def test_one_table(tmp_path, capsys):
    bank = write_bank(tmp_path)
    manifest = bank / "manifest.csv"  # the tones stand for test recordings of a class that the classifier knows
    manifest.write_text(manifest.read_text().replace(",train,", ",test,").replace("metal_hit", "hammer"))
    words = ["dials", "--model", "tiny", "--bank", str(bank), "--count", "3", "--steps", "1", "2", "--json"]
    assert (
        main([*words, "--figure", str(tmp_path / "figures" / "steps.png"), "--sheet", str(tmp_path / "sheet.webp")])
        == 0
    )
    assert Image.open(tmp_path / "sheet.webp").width > 500
    assert plt.imread(tmp_path / "figures" / "steps.png").shape[1] > 1000
    real, coded, *rows = [json.loads(row) for row in capsys.readouterr().out.splitlines()]
    assert [real["sound"], coded["sound"]] == ["real", "real through VAE and vocoder"]
    assert real["fd_bank"] == pytest.approx(0, abs=1e-3) and coded["fd_bank"] > 1
    assert [row["steps"] for row in rows] == [1, 2] and all(row["n"] == 3 for row in rows)
    assert rows[0]["fd_bank"] != rows[1]["fd_bank"]
    assert real["w_dis"] == 0 and all(row["w_dis_ci95"][0] <= row["w_dis"] <= row["w_dis_ci95"][1] for row in rows)
    for row in rows:
        assert 0 <= row["top1"] <= row["top5"] <= 1 and row["diversity"] > 0 and row["denoise_seconds_per_clip"] > 0
    assert main([*words[:9], "--split", "val", "--strength", "0", "--draws", "1", "--json"]) == 0
    *_, chosen_on = (json.loads(row) for row in capsys.readouterr().out.splitlines())
    assert chosen_on["fd_bank"] != rows[0]["fd_bank"], "other clips than those of the test"
    assert chosen_on["denoise_seconds_per_clip"] == 0 and chosen_on["diversity"] is None


def test_a_listener_ranks_the_own_sound_of_each_clip():
    def describe(wave):  # by its highest frequency
        return np.array([[np.abs(np.fft.rfft(wave)).argmax(), 1.0, k] for k in range(2)]), None

    tones = [np.sin(np.arange(4000) * f).astype(np.float32) for f in (0.1, 0.2, 0.5, 0.9)]
    own = heard_by(Tagger("ears", 16_000, describe), tones, tones, 16_000)
    assert own["rank"] == 0 and own["fd"] == pytest.approx(0, abs=1e-3)
    assert heard_by(Tagger("ears", 16_000, describe), tones, tones[::-1], 16_000)["rank"] > 0.5
    assert heard_by(None, tones, tones, 16_000) == {"rank": None, "rank_ci95": None, "fd": None}


def test_real_clips_are_judged_without_a_class(tmp_path, capsys):
    for name in ("a.mp4", "b.mp4", "other.mp4"):
        make(tmp_path / name)
    make(tmp_path / "silent.mp4", sound=False)
    rows = "a.mp4,a dog barks,val\nb.mp4,a bell rings,\nother.mp4,rain,test\nsilent.mp4,wind,val\n"
    (tmp_path / "manifest.csv").write_text("file,caption,split\n" + rows)
    words = ["dials", "--model", "tiny", "--clips", str(tmp_path), "--split", "val", "--steps", "1", "--draws", "1"]
    assert main([*words, "--json"]) == 0
    real, _, row = (json.loads(row) for row in capsys.readouterr().out.splitlines())
    assert real["n"] == row["n"] == 2 and row["top5"] is None and real["rank"] is None
    assert main(words) == 0
    assert "real through VAE and vocoder" in capsys.readouterr().out
    assert main(["dials", "--model", "tiny"]) == 2
    assert "--bank" in capsys.readouterr().err


def test_recorded_is_judged_beside_the_real_sounds_alone(tmp_path, capsys):
    for name in ("a.mp4", "b.mp4"):
        make(tmp_path / name)
    (tmp_path / "manifest.csv").write_text("file,caption\na.mp4,a dog barks\nb.mp4,a bell rings\n")
    assert main(["dials", "--model", "recorded", "--clips", str(tmp_path), "--draws", "1", "--json"]) == 0
    real, recorded = (json.loads(row) for row in capsys.readouterr().out.splitlines())
    assert real["sound"] == "real" and recorded["fd_bank"] > 0 and recorded["denoise_seconds_per_clip"] == 0


@pytest.mark.parametrize("count", ["0", "1"])
def test_too_few_clips_are_refused(tmp_path, capsys, count):
    assert main(["dials", "--bank", str(tmp_path), "--count", count]) == 2
    assert "at least 2" in capsys.readouterr().err
