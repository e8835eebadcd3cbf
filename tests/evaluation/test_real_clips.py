"""The onset curve on real clips: kinds, the stronger half, gains by group and paired differences."""

import json

import numpy as np
import pytest
from clips import make

from stav2a.condition.onset import onset_curve
from stav2a.evaluation.models.kinds import Label, known_kinds, labels_of
from stav2a.evaluation.models.real_clips import (
    FLOW,
    RealClip,
    Seen,
    flow_deceleration,
    groups,
    strength_of_curve,
    table,
)
from stav2a.sound.onsets import onset_frame_s, stronger_half

F1 = "onset F1 ±50 ms, gain"


def clip(times, seen_at, label=None, length_s=4.0):
    """A clip whose sound begins at `times`; each of `seen_at` is {predictor: its onsets}."""
    frames = round(length_s / onset_frame_s())

    def curve(at):
        return onset_curve(at, frames, onset_frame_s())

    seen = {name: Seen(curve(at), list(at)) for name, at in seen_at.items()}
    return RealClip("clip.mp4", label, length_s, curve(times), np.array(times), {FLOW: Seen(curve([]), []), **seen})


def test_the_curve_is_read_where_the_strength_is():
    strength = strength_of_curve(onset_curve([2.0], 100, 0.04), 0.04, 172)
    assert strength.argmax() * 512 / 22_050 == pytest.approx(2.0, abs=0.03)


def test_motion_that_stops_is_found():
    frames = np.zeros((50, 64, 64, 3), np.uint8)
    texture = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    for k in range(50):
        x = min(2 * k, 40)  # stops after 20 frames
        frames[k, 20:36, x : x + 16] = texture
    _, peaks = flow_deceleration(frames, 25.0)
    assert any(abs(peak - 0.8) < 0.1 for peak in peaks)


def test_the_stronger_half_is_rounded_up_and_stays_in_order():
    strength = np.zeros(200)
    for frame, height in ((10, 1.0), (40, 3.0), (80, 2.0)):
        strength[frame] = height
    times = np.array([10, 40, 80]) * onset_frame_s()
    assert np.allclose(stronger_half(times, strength), times[1:])
    assert stronger_half(times[:1], strength) == times[:1] and stronger_half(np.array([]), strength).size == 0


def test_who_sees_the_own_picture_gains_and_who_sees_another_does_not():
    all_times = [0.5, 1.4, 2.9], [1.0, 1.9, 3.3]
    rows = table([clip(times, {"model": times}) for times in all_times])
    assert rows[f"model: {F1}"]["value"] > 0.8
    assert rows["model: envelope correlation, gain"]["value"] > 0.8
    assert rows[f"shuffled videos: {F1}"]["value"] < 0.1 and rows[f"optical flow: {F1}"]["value"] == 0


def test_weak_onsets_that_nobody_sees_do_not_count_against_the_stronger_half():
    strong, weak = [0.5, 1.4, 2.9], [0.8, 2.0, 3.4]
    found = clip(strong + weak, {"model": strong})
    heights = np.zeros(len(found.strength))
    for height, times in ((1.0, strong), (0.1, weak)):
        heights[np.round(np.array(times) / onset_frame_s()).astype(int)] = height
    found = RealClip("clip.mp4", None, 4.0, heights, np.array(sorted(strong + weak)), found.seen)
    rows = table([found, found])
    assert rows["model: onset F1 ±50 ms, stronger half, gain"]["score"] == 1
    assert rows[f"model: {F1}"]["score"] == pytest.approx(2 * 3 / 9)


def test_clips_are_grouped_by_kind_and_by_what_can_be_seen():
    labels = [Label("strikes", True), *[Label("animals", True)] * 2, *[Label("water", False)] * 2, None]
    clips = [clip([1.0], {"model": [1.0]}, label) for label in labels]
    assert groups(clips) == {
        "": [0, 1, 2, 3, 4, 5],
        "visible events": [0, 1, 2],
        "visible events but strikes": [1, 2],
        "animals": [1, 2],
        "continuous sounds": [3, 4],
        "water": [3, 4],
    }


def test_a_difference_is_taken_clip_by_clip():
    times = [0.5, 1.4, 2.9], [1.0, 1.9, 3.3], [0.7, 2.2]
    clips = [clip(t, {"new": t, "old": [x + 0.3 for x in t]}) for t in times]
    rows = table(clips, differences=True)
    gained = rows[f"new: {F1}"]["value"] - rows[f"old: {F1}"]["value"]
    difference = rows[f"new minus old: {F1}"]
    assert difference["value"] == pytest.approx(gained) and difference["ci95"][0] > 0.5 and difference["n"] == 3


def test_labels_come_from_the_manifest_and_the_table_of_kinds(tmp_path):
    assert labels_of(tmp_path) == {}
    (tmp_path / "manifest.csv").write_text("file,caption\na.mp4,rain\n", encoding="utf-8")
    assert labels_of(tmp_path) == {"a.mp4": Label("", False)}
    rows = ["file,caption,category,kind,split", 'a.mp4,"rain, hail",continuous,water,val']
    rows.append("avsync_hammer.mp4,a,impact/discrete,,")
    (tmp_path / "manifest.csv").write_text("\n".join(rows), encoding="utf-8")
    assert labels_of(tmp_path) == {"a.mp4": Label("water", False, "val"), "avsync_hammer.mp4": Label("tools", True)}


def test_every_shared_clip_has_a_kind(shared):
    for folder in ("realclips", "clips"):
        assert all(label.kind for label in labels_of(shared / folder).values())
    assert known_kinds()["lzhangbj_dog_0088.mp4"] == "animals"


def test_two_models_on_two_clips_from_the_command_line(tmp_path, capsys):
    from stav2a.__main__ import main

    for name in ("a.mp4", "b.mp4"):
        make(tmp_path / name)
    make(tmp_path / "silent.mp4", sound=False)
    (tmp_path / "manifest.csv").write_text("file,category,kind,split\na.mp4,impact/discrete,flashes,train\nb.mp4,,,\n")
    assert main(["real-clips", str(tmp_path), "--model", "tiny", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[f"tiny: {F1}"]["n"] == 2 and {"chance", "p", "ci95"} <= set(rows[f"shuffled videos: {F1}"])
    assert main(["real-clips", str(tmp_path), "--model", "tiny"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.count("|") for line in told] == [8] * 5  # head, rule, and three predictors on all clips
    assert told[2].startswith("| tiny | 2 | ") and "optical flow | 2" in told[4]
    assert main(["real-clips", str(tmp_path), "--model", "tiny", "--split", "val"]) == 2
    assert "at least 2" in capsys.readouterr().err
