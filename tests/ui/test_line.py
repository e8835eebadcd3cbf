"""The line of runs, a model's own defaults on the page, and what a hundred requests leave behind."""

from __future__ import annotations

import inspect
import json
import platform
import subprocess
import sys
import threading

import pytest
from page_server import make_clip
from soak import soak

from stav2a.generation import engine as engine_module
from stav2a.generation.engine import Engine
from stav2a.generation.settings import Settings, check_dials
from stav2a.media.limits import InputError
from stav2a.models.defaults import model_dials
from stav2a.output import Progress
from stav2a.ui.generate import controls
from stav2a.ui.history import History
from stav2a.ui.line import status
from stav2a.ui.line.jobs import Early, Jobs
from stav2a.ui.page import create_demo, notices
from stav2a.ui.serve.launch import bounded_heap


def held(gate: threading.Event):
    """Work that goes on until the gate opens or it is cancelled."""

    def work(cancelled):
        while not gate.is_set() and not cancelled():
            gate.wait(0.01)
            yield type("Step", (), {"stage": "denoise", "step": 1, "total": 2})()
        yield "made"

    return work


def test_one_works_and_the_others_see_their_place():
    jobs, gate = Jobs(), threading.Event()
    first, second, third = (jobs.start(visit, held(gate), "generate") for visit in "abc")
    assert [first.ahead, second.ahead, third.ahead] == [0, 1, 2]
    assert (second.started, third.started) == (False, False)
    assert "1 run before yours" in status.running(second)
    assert "2 runs before yours" in status.running(third)
    assert jobs.cancel("b")
    assert second.done and third.ahead == 1 and not first.done, "who leaves the line is gone at once"
    gate.set()
    third.join(20)
    assert (first.outcome, second.outcome, third.outcome) == ("made", None, "made")
    assert third.ahead == 0


def test_a_full_line_refuses_in_a_sentence():
    jobs, gate = Jobs(waiting=2), threading.Event()
    for visit in "abc":
        jobs.start(visit, held(gate), "generate")
    with pytest.raises(InputError, match="2 runs are waiting"):
        jobs.start("d", held(gate), "generate")
    last = jobs.start("c", held(gate), "generate")  # one's own place is given up for the new one
    gate.set()
    last.join(20)
    assert last.outcome == "made"


def test_a_failure_does_not_stop_the_line():
    jobs = Jobs()

    def fails(cancelled):
        raise InputError("No.")
        yield

    jobs.start("a", fails, "generate")
    gate = threading.Event()
    gate.set()
    job = jobs.start("b", held(gate), "generate")
    job.join(20)
    assert job.outcome == "made"


def test_results_are_bounded_over_all_visits(tmp_path):
    history = History(tmp_path, runs_in_all=3)
    for number in range(6):
        (history.new_folder(f"visit {number}") / "run.json").write_text("{}")
    history.sweep()
    assert len(list(tmp_path.glob("*/*"))) == 3
    assert history.folder("visit 5").exists() and not history.folder("visit 0").exists()


# ---- models


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model_index.json").write_text(json.dumps({"defaults": {"steps": 33, "guidance_scale": 4.5}}))
    return str(folder)


def component(demo, name: str):
    return next(block for block in demo.blocks.values() if getattr(block, "elem_id", None) == name)


def test_the_page_opens_with_the_models_own_defaults(checkpoint, tmp_path):
    demo = create_demo(Engine(checkpoint), root=tmp_path / "runs", ratings=tmp_path / "r.sqlite")
    assert component(demo, "steps").value == 33
    assert component(demo, "guidance").value == 4.5
    assert component(demo, "sampler").value == "dpm++2m"


def test_choosing_a_model_brings_its_defaults(checkpoint, tmp_path):
    demo = create_demo(Engine(checkpoint), root=tmp_path / "runs", ratings=tmp_path / "r.sqlite")
    events = [fn.fn for fn in demo.fns.values() if fn.name == "chosen"]
    assert len(events) == 4, "in every tab that has a model to choose"

    def brought(event, name: str) -> dict:
        return {block.elem_id: value for block, value in event(name).items()}

    paper = brought(events[0], "paper")
    sampled = {"steps": 200, "guidance": 3.0, "sampler": "ddpm"}
    assert {name: paper[name]["value"] for name in sampled} == sampled
    assert paper["control"]["visible"] and not paper["video-guidance"]["visible"], (
        "it never trained without the picture"
    )
    assert "onsets set the timing" in paper["model"]["info"], "what kind of model it is"
    assert not paper["negative-guidance"]["visible"] and not paper["alignment-guidance"]["visible"], "dials of others"
    own = brought(events[0], checkpoint)
    assert own["steps"]["value"] == 33 and own["video-guidance"]["visible"] is True
    compare = brought(events[1], checkpoint)
    sampled = {"compare-steps": 33, "compare-guidance": 4.5, "compare-sampler": "dpm++2m"}
    assert {name: compare[name]["value"] for name in sampled} == sampled
    assert brought(events[2], "paper")["explore-sampler"]["value"] == "ddpm"


def test_video_guidance_is_refused_where_the_model_has_none():
    asked, has = {"model": "paper", "video_guidance_scale": 4}, model_dials("paper")
    with pytest.raises(InputError, match="paper cannot follow the video guidance scale; sta-v2a and ta-v2a can"):
        check_dials(Settings.of(asked), has)
    assert controls.settings_of(asked, has=has).video_guidance_scale is None  # a slider that is not shown


def test_a_missing_model_is_said_and_the_page_opens(monkeypatch, tmp_path):
    monkeypatch.setattr(engine_module, "COMPACT", tmp_path / "nowhere")
    engine = Engine("compact")
    assert "assets/compact is missing" in notices(engine)[0]
    demo = create_demo(engine, root=tmp_path / "runs", ratings=tmp_path / "r.sqlite")
    assert component(demo, "model").value == "compact"
    assert "Not on this server: compact" in component(demo, "model").info


# ---- many requests


def test_threads_share_two_heaps():
    """Sixteen threads that allocate at once make no more heaps, where the C library is glibc."""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("heaps a thread are glibc's")
    code = (
        f"import ctypes, platform, threading\n{inspect.getsource(bounded_heap)}"
        + """
assert bounded_heap()
meet = threading.Barrier(16)
def work():
    meet.wait()
    [bytes(3000) for _ in range(200)]
    meet.wait()
threads = [threading.Thread(target=work) for _ in range(16)]
[t.start() for t in threads]; [t.join() for t in threads]
ctypes.CDLL(None).malloc_stats()
"""
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stderr
    assert 1 <= told.count("Arena ") <= 2, told


def test_requests_leave_nothing_behind(tmp_path):
    """Made, refused twice and cancelled, in turn. `tests/helpers/soak.py` does the same a hundred times."""
    rooms = [room for _, room in soak(Engine("tiny"), make_clip(tmp_path / "clip.mp4", seconds=0.6), requests=8)]
    first, last = rooms[2], rooms[-1]
    assert last.unfinished == 0
    assert last.children <= first.children
    assert last.threads <= first.threads + 2
    assert last.descriptors <= first.descriptors + 4
    assert last.memory_mb < first.memory_mb + 100  # 4 requests; a process of many tests is uneven by itself


def test_a_run_that_is_heard_is_not_cancelled():
    """From the early outcome on it runs to its end; before, it stops."""
    heard, go = threading.Event(), threading.Event()

    def work(cancelled):
        yield Early("sound")
        heard.set()
        go.wait(5)
        assert not cancelled()
        yield Progress("measure")
        yield "sound with measures"

    jobs = Jobs()
    job = jobs.start("mine", work, "generate")
    assert heard.wait(5) and job.early == "sound" and job.outcome is None and not job.done
    jobs.cancel("mine")
    go.set()
    job.join(5)
    assert job.outcome == "sound with measures" and job.error is None
