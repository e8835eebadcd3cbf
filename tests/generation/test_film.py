"""Long clips and captions by time: parts at cuts, no seams, the same after a stop, memory that does not grow."""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from clips import make, run_ffmpeg
from small_runs import engine_with

from stav2a.__main__ import main
from stav2a.generation import film as film_module
from stav2a.generation.film import film, is_film
from stav2a.generation.scenes import HARD_S, PART_S, SOFT_S, plan, scene_cuts, timed_captions
from stav2a.generation.settings import Settings
from stav2a.media import InputError, Limits, probe, read_audio
from stav2a.output import Progress

ASKED = Settings(model="tiny", steps=1, describe="off")


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("0-4 rain; 4-9 a door slams", [(0, 4, "rain"), (4, 9, "a door slams")]),
        ("0:30 – 1:05.5: a dog barks", [(30, 65.5, "a dog barks")]),
        ("1:00:00-1:00:10 waves; 0s-2s: rain;", [(0, 2, "rain"), (3600, 3610, "waves")]),
        ("rain; a door slams", None),
        ("3-5 dogs bark; rain", None),
        ("", None),
        ("0-4", None),
    ],
)
def test_captions_by_time(text, spans):
    found = timed_captions(text)
    assert (found and [(span.start_s, span.end_s, span.caption) for span in found]) == spans


@pytest.mark.parametrize(("text", "sentence"), [("4-4 rain", "ends at 4 s"), ("0-5 rain; 4-9 wind", "overlap at 4 s")])
def test_captions_that_cannot_hold_are_refused(text, sentence):
    with pytest.raises(InputError, match=sentence):
        timed_captions(text)


def test_parts_join_at_cuts_where_there_are_any():
    parts = plan(150.0, [], [3.0, 35.0, 36.5, 90.0], "rain")
    assert [part.start_s for part in parts] == pytest.approx([0, 36.5, 36.5 + 113.5 / 3, 90, 120])
    assert [part.fade_s for part in parts] == [0, HARD_S, SOFT_S, HARD_S, SOFT_S]
    assert all(before.end_s == after.start_s for before, after in pairwise(parts))
    assert max(part.end_s - part.start_s for part in parts) <= PART_S and parts[-1].end_s == 150.0


def test_captions_have_their_own_parts():
    spans = timed_captions("1-4 rain; 6-99 a door slams")
    parts = plan(8.0, spans, [])
    assert [(part.start_s, part.end_s, part.caption) for part in parts] == [
        (0, 1, ""), (1, 4, "rain"), (4, 6, ""), (6, 8, "a door slams")
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"begins after the clip's end at 5.00 s"):
        plan(5.0, spans, [])


@pytest.fixture(scope="module")
def cut_clip(tmp_path_factory):
    """Three scenes of 2 s: noise in three colours."""
    colours = [f"color={name}:size=96x64:rate=25:duration=2" for name in ("red", "white", "blue")]
    clip = tmp_path_factory.mktemp("scenes") / "clip.mp4"
    sources = [word for colour in colours for word in ("-f", "lavfi", "-i", colour)]
    run_ffmpeg(*sources, "-filter_complex", "concat=n=3,noise=alls=20:allf=t", "-c:v", "libx264", "-preset",
               "ultrafast", "-pix_fmt", "yuv420p", clip)  # fmt: skip
    return clip


@pytest.fixture
def engine(tiny_pipeline):
    return engine_with(tiny_pipeline)


def test_scene_cuts_are_found(cut_clip):
    assert scene_cuts(cut_clip, 0.0, 6.0, Limits()) == pytest.approx([2.0, 4.0], abs=0.05)
    assert scene_cuts(cut_clip, 1.0, 2.0, Limits()) == pytest.approx([1.0], abs=0.05)


def test_captions_steer_their_parts(engine, cut_clip, tmp_path):
    settings = replace(ASKED, prompt="0-2 rain; 2-6 a door slams", original_audio="mix")
    assert is_film(cut_clip, settings)
    *progress, record = film(engine, cut_clip, settings, tmp_path)
    assert [part["caption"] for part in record["parts"]] == ["rain", "a door slams"]
    assert {item.stage for item in progress} >= {"scenes", "denoise", "parts", "mux"}
    assert probe(record["out_video"]).duration_s == pytest.approx(6.0, abs=0.04)
    assert soundfile.info(record["out_audio"]).frames == 6 * 16_000
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "clip_sound.mp4", "clip_sound.wav", "onsets.json", "settings.json"
    ]  # fmt: skip


@pytest.fixture
def short_parts(monkeypatch):
    monkeypatch.setattr("stav2a.generation.scenes.PART_S", 3.0)
    monkeypatch.setattr(film_module, "BLOCK_S", 1.0)


def test_no_seams(engine, short_parts, tmp_path):
    """Where parts and blocks are joined the sound moves no more than elsewhere."""
    clip = make(tmp_path / "clip.mp4", duration_s=10.0)
    *_, record = film(engine, clip, ASKED, tmp_path / "out")
    wave, rate = soundfile.read(record["out_audio"])
    assert len(record["parts"]) == 4 and len(wave) == 10 * rate
    steps = np.abs(np.diff(wave))
    joints = np.concatenate([np.arange(1, 10) * rate, [round(part["start_s"] * rate) for part in record["parts"][1:]]])
    assert steps[joints - 1].max() <= np.quantile(steps, 0.999)
    loud = 20 * np.log10(np.sqrt((wave[: len(wave) // 1600 * 1600].reshape(-1, 1600) ** 2).mean(1)) + 1e-4)
    jumps = np.abs(np.diff(loud))
    at = np.unique([np.clip(round(part["start_s"] * 10) + d, 0, len(jumps) - 1) for part in record["parts"][1:] for d in
                    range(-10, 10)])  # fmt: skip
    assert jumps[at].mean() < 1.25 * np.delete(jumps, at).mean() + 0.5


def test_a_stopped_run_goes_on(engine, short_parts, tmp_path):
    clip = make(tmp_path / "clip.mp4", duration_s=6.0)
    *_, whole = film(engine, clip, ASKED, tmp_path / "whole")
    running = film(engine, clip, ASKED, tmp_path / "out")
    for item in running:
        if isinstance(item, Progress) and item.stage == "parts":
            break
    running.close()
    (kept,) = (tmp_path / "out").iterdir()
    assert [path.name for path in kept.iterdir()] == ["00000.npz"]
    *progress, resumed = film(engine, clip, ASKED, tmp_path / "out")
    assert sum(item.stage == "decode" for item in progress) == len(resumed["parts"]) - 1
    waves = [soundfile.read(record["out_audio"])[0] for record in (whole, resumed)]
    assert np.array_equal(*waves)


def test_from_the_command_line(cut_clip, tmp_path, capsys):
    asked = ["generate", str(cut_clip), "--out", str(tmp_path), "--model", "tiny", "--steps", "1", "--json"]
    asked += ["--prompt", "0-2 rain; 2-4 wind", "--loudness", "-20"]
    assert main(asked) == 0
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [part["caption"] for part in record["parts"]][:2] == ["rain", "wind"]
    sound = read_audio(record["out_video"], 16_000)
    assert len(sound) == 6 * 16_000 and np.abs(sound).max() > 0.01
    assert main(asked) == 0 and json.loads(capsys.readouterr().out)["skipped"]
    assert main([*asked[:-1], "-20", "--prompt", "0-2 rain; 9-10 wind", "--overwrite"]) == 2
    assert "begins after the clip's end" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="counts kilobytes")
def test_memory_does_not_grow_with_length(engine, short_parts, tmp_path):
    """Eight parts need what two need, up to what the joined sound takes on disk."""
    peaks = []
    for length_s in (6.0, 6.0, 24.0):
        clip = make(tmp_path / f"{len(peaks)}.mp4", duration_s=length_s, sound=False, rate=5)
        *_, record = film(engine, clip, ASKED, tmp_path / f"out{len(peaks)}")
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    assert record["duration_s"] == pytest.approx(24.0)
    assert peaks[2] - peaks[1] < 60, peaks
