"""Several clips on the page: one list with progress, one zip; by the function behind the command line."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from page_server import make_clip

from stav2a.generation.engine import Engine
from stav2a.generation.settings import Settings
from stav2a.media.limits import InputError, Limits
from stav2a.ui.batch.plan import DONE, FAILED, MOST, batching, plan_of
from stav2a.ui.history import History
from stav2a.ui.line.jobs import Jobs

SETTINGS = Settings(model="tiny", steps=2, prompt="a ball", describe="off")


@pytest.fixture(scope="module")
def engine():
    return Engine("tiny")


@pytest.fixture
def files(tmp_path) -> list[str]:
    """Two clips, one that is none, and a table that captions the first."""
    clips = [str(make_clip(tmp_path / f"clip {k}.mp4", seconds=0.6)) for k in (1, 2)]
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "captions.csv").write_text("clip,caption\nclip 1.mp4,<b>a drum</b>\nother.mp4,a dog\n")
    return [*clips, str(tmp_path / "text.mp4"), str(tmp_path / "captions.csv")]


def test_a_table_captions_clips_by_their_names(files, tmp_path):
    plan = plan_of(files, SETTINGS)
    assert [row.caption for row in plan.rows] == ["<b>a drum</b>", "a ball", "a ball"]
    assert any("no clip other.mp4" in note for note in plan.notes)
    assert str(tmp_path) not in " ".join(plan.notes), "no path of the server is shown"


@pytest.mark.parametrize(
    ("given", "says"),
    [(None, "no clips yet"), (["a.csv"], "no clips yet"), ([f"{k}.mp4" for k in range(MOST + 1)], f"at most {MOST}")],
)
def test_what_cannot_be_used_gets_a_sentence(given, says):
    with pytest.raises(InputError, match=says):
        plan_of(given, SETTINGS)


def test_one_failure_stops_nothing_and_one_zip_holds_the_rest(engine, files, tmp_path):
    history = History(tmp_path / "runs")
    plan = plan_of(files, SETTINGS)
    job = Jobs().start("v/batch", batching(engine, history, "v", plan, Limits(duration_s=60)), "batch", about=plan)
    job.join(120)
    assert job.error is None and job.outcome is plan
    assert [row.state for row in plan.rows] == [DONE, DONE, FAILED]
    assert plan.rows[2].status.endswith(".") and plan.shown(True)[0]["video"]["path"].endswith(".mp4")
    names = zipfile.ZipFile(plan.zip).namelist()
    assert {Path(name).parent.name for name in names} == {"clip 1", "clip 2"}
    assert sum(name.endswith(".mp4") for name in names) == 2 and not any(name.endswith(".zip") for name in names)


def test_limits_of_the_page_hold_for_each_clip(engine, files, tmp_path):
    plan = plan_of(files[:1], SETTINGS)
    list(batching(engine, History(tmp_path / "runs"), "v", plan, Limits(duration_s=0.3))(lambda: False))
    assert plan.rows[0].state == FAILED and "0.3 s" in plan.rows[0].status
    assert not list((tmp_path / "runs").rglob("*.*")), "nothing is left"


def test_cancel_keeps_what_is_finished(engine, files, tmp_path):
    plan = plan_of(files[:2], SETTINGS)
    job = Jobs().start(
        "v/batch", batching(engine, History(tmp_path / "runs"), "v", plan, Limits()), "batch", about=plan
    )
    while not (job.done or plan.finished):
        job.join(0.01)
    job.cancel()
    job.join(60)
    assert plan.finished >= 1 and zipfile.ZipFile(plan.zip).namelist()
