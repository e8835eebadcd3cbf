"""Onsets belong to one clip and part; results are told apart by what differs; the time left falls and comes true."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from stav2a.generation.settings import Settings
from stav2a.media.limits import InputError
from stav2a.output import Progress
from stav2a.ui.differences import differences, summary
from stav2a.ui.generate import edits
from stav2a.ui.line.pace import Pace, Timing
from stav2a.ui.widgets.onset_editor import editor_value
from stav2a.ui.widgets.result_strip import asked, strip_value

KEY = edits.part_key("abc", 0.0, None)


def editor(onsets_s=None, clip=KEY):
    return editor_value(4.0, [0.0] * 100, [0.4, 1.2], onsets_s, clip=clip)


def test_a_part_has_a_key_of_its_own(monkeypatch):
    monkeypatch.setattr(edits, "clip_hash", str)
    parts = [Settings(start_s=start, length_s=length) for start in (0, 1) for length in (None, 2)]
    keys = {edits.settings_key("abc", part) for part in parts}
    assert len(keys | {edits.settings_key("other", Settings())}) == 5
    assert edits.settings_key("abc", Settings(start_s=1, length_s=2.0)) == edits.part_key("abc", 1.0, 2)


def test_generate_follows_edits_of_its_clip_and_no_others():
    assert edits.edited(editor([0.4, 2.0]), KEY) == (0.4, 2.0)
    assert edits.edited(editor([]), KEY) == (), "all onsets deleted is an edit too"
    assert edits.edited(editor(), KEY) is None, "the predicted ones are predicted anew"
    assert edits.edited(editor([0.4, 2.0], clip="other"), KEY) is None
    assert edits.edited(None, KEY) is None


def test_regenerate_refuses_onsets_of_another_clip():
    assert edits.required(editor([2.0]), KEY) == (2.0,)
    with pytest.raises(InputError, match="another clip or part"):
        edits.required(editor([2.0], clip="other"), KEY)
    with pytest.raises(InputError, match="no onsets to use yet"):
        edits.required(None, KEY)


def run(heard, predicted=(0.4, 1.2), used=(0.4,), **settings):
    take = SimpleNamespace(onsets_s=list(heard))
    return SimpleNamespace(predicted_onsets_s=list(predicted), onsets_s=list(used), takes=[take], settings=settings)


def test_a_deleted_onset_that_is_heard_is_told():
    assert edits.still_heard(run(heard=[0.4])) == ""
    assert "1.20 s" in edits.still_heard(run(heard=[0.4, 1.22]))
    assert edits.still_heard(run(heard=[0.4, 1.2], used=(0.4, 1.24))) == "", "a moved onset is not a deleted one"


def test_results_are_told_apart_by_what_differs():
    one = {"prompt": "a dog barks", "guidance_scale": 4.0, "steps": 6, "seed": 1, "onsets_s": None}
    assert differences([one, {**one, "guidance_scale": 7.5}]) == ["guidance 4", "guidance 7.5"]
    assert differences([one, {**one, "steps": 1, "onsets_s": [0.5]}]) == [
        "6 steps · predicted onsets", "1 step · 1 onset by hand"
    ]  # fmt: skip
    assert differences([one, one]) == ["take 1", "take 2"]
    assert differences([one]) == [summary(one)]
    assert differences([one, {**one, "parts": "text only"}]) == ["all parts", "text only"]
    assert differences([{"alignment_guidance_scale": 50.0}, {"alignment_guidance_scale": 20.0}]) == [
        "alignment guidance scale 50", "alignment guidance scale 20"
    ]  # fmt: skip
    long = differences([one, {**one, "prompt": "x" * 500}])[1]
    assert len(long) < 50 and long.endswith("…”")


def test_the_strip_shows_the_clip_that_is_shown_and_trusts_nothing():
    def made(name, clip, **settings):
        return SimpleNamespace(id=name, clip_key=clip, settings={"seed": 0, **settings}, thumb="")

    runs = [made("a", "one", seed=1), made("b", "two"), made("c", "one", seed=2)]
    items = strip_value(runs, runs[2])
    assert [(item["id"], item["text"]) for item in items] == [("c", "seed 2"), ("a", "seed 1")]
    assert [item["shown"] for item in items] == [True, False]
    assert strip_value(runs, runs[1]) is None, "there is nothing to choose from"
    assert strip_value(runs, None) is None
    assert asked({"id": "a", "action": "hear"}, runs) == (runs[0], "hear")
    for name, action in (("a", "delete"), ("zz", "hear"), (["a"], "hear"), ("a", None), ("a", ["hear"])):
        assert asked({"id": name, "action": action}, runs) is None
    assert asked(None, runs) is asked([], runs) is None


def timed(seconds: dict[str, float], steps: int = 10, guided: float = 1.0) -> Iterator[tuple[Timing, float]]:
    """A run and the time, ten times in each step; steps of the first half take `guided` times longer than others."""
    timing, now = Timing(), 0.0
    for stage, length in seconds.items():
        total = steps if stage == "denoise" else 1
        costs = [guided if stage == "denoise" and step < steps / 2 else 1.0 for step in range(total)]
        for step, cost in enumerate(costs):
            timing.note(Progress(stage, step, total), now)
            for tenth in range(10):
                yield timing, now + length * cost / sum(costs) * tenth / 10
            now += length * cost / sum(costs)
        if total > 1:
            timing.note(Progress(stage, total, total), now)
    timing.note(None, now)
    yield timing, now


def learned(seconds: dict[str, float], **run) -> Pace:
    pace = Pace()
    *_, (timing, _) = timed(seconds, **run)
    pace.learn("m", timing)
    return pace


SECONDS = {"load": 30.0, "read": 1.0, "denoise": 8.0, "decode": 1.0}


def test_the_share_follows_what_was_learnt_of_the_model():
    shape = learned(SECONDS).shape("m")
    timing = Timing()
    assert timing.share(shape) is None
    for progress, share in (
        (Progress("load"), None),
        (Progress("read"), 0.0),
        (Progress("denoise", 5, 10), 0.5),
        (Progress("decode", 1, 1), 1.0),
    ):
        timing.note(progress, 0.0)
        assert timing.share(shape) == (share if share is None else pytest.approx(share))
    assert timing.share(Pace().shape("compact")) != pytest.approx(1.0), "another model has its own stages"


def test_the_first_run_of_a_small_model_is_not_what_later_ones_are_like():
    pace, (*_, (timing, _)) = Pace(), timed(SECONDS)
    first = pace.shape("compact")
    pace.learn("compact", timing)
    assert first.after("denoise") > pace.shape("compact").after("denoise")
    pace.learn("compact", timing)
    assert pace.shape("compact").after("denoise") == pytest.approx(10 / 8)


@pytest.mark.parametrize(("steps", "slower"), [(10, 1.0), (40, 1.0), (10, 3.0)])
def test_the_time_left_never_rises_and_is_right_after_two_steps(steps, slower):
    """Also for another number of steps, on a slower machine, and if only the first steps are guided."""
    shape = learned(SECONDS, guided=3.0).shape("m")
    now = {**SECONDS, "denoise": 8.0 * steps / 10}
    now = {stage: seconds * slower for stage, seconds in now.items()}
    end, told = sum(now.values()), []
    for timing, at in timed(now, steps, guided=3.0):
        left = timing.left_s(shape, at)
        if left is not None and at < end:
            told.append(left)
            assert left == pytest.approx(end - at, rel=0.01, abs=0.01)
    assert told == sorted(told, reverse=True) and len(told) > 50


def test_a_stage_that_lasts_longer_does_not_make_the_time_left_rise():
    timing, shape = Timing(), learned(SECONDS).shape("m")
    for step in range(3):
        timing.note(Progress("denoise", step, 10), float(step))
    first = timing.left_s(shape, 2.0)
    assert timing.left_s(shape, 9.0) <= first
    timing.note(Progress("denoise", 3, 10), 12.0)
    assert timing.left_s(shape, 12.0) <= first


def test_an_unknown_setting_is_said_to_be_the_models_own():
    one = {"guidance_scale": None}
    assert differences([one, {"guidance_scale": 3.0}])[0] == "guidance scale: the model’s own"
