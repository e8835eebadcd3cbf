"""Compare and Explore stand in the line of runs like Generate: places shown, cancel, and a reload finds them."""

from __future__ import annotations

import asyncio
import json
import threading
from types import SimpleNamespace

import pytest

from stav2a.ui.page import create_demo

CHANGES = {"model": "tiny", "seed": 7}
BUTTONS = ("explore-fill", "compare-make")


@pytest.fixture
def demo(engine, tmp_path):
    return create_demo(engine, root=tmp_path / "runs", ratings=tmp_path / "ratings.sqlite")


def events(demo, name: str, elem_id: str | None = None) -> list:
    """Events with a function of this name; only those that a click on one component starts, where it is given."""
    clicks = {(block._id, "click") for block in demo.blocks.values() if getattr(block, "elem_id", None) == elem_id}
    return [fn for fn in demo.fns.values() if fn.name == name and (elem_id is None or clicks & {*fn.targets})]


def window(name: str) -> SimpleNamespace:
    return SimpleNamespace(session_hash=name)


def press(demo, button: str, clip, visit: str, **changes):
    """What the page is told, one update after another, when `button` is pressed with these values."""
    (event,) = events(demo, "start", button)
    tab = button.split("-")[0]
    given = {f"{tab}-{name}": value for name, value in {**CHANGES, **changes}.items()}
    given[f"{tab}-source"] = str(clip)
    values = [visit if block is demo.stav2a.visit else given.get(block.elem_id, block.value) for block in event.inputs]
    return event.fn(window("first"), *values)


def told(update: dict) -> str:
    """All words of an update."""
    return json.dumps([value if isinstance(value, (str, dict)) else "" for value in update.values()], default=str)


def values_for(button: str) -> dict:
    return {"guidance": "1, 3", "steps": "2"} if button == "explore-fill" else {"values": "1, 3", "steps": 2}


async def everything(stream) -> list[dict]:
    return [update async for update in stream]


@pytest.mark.parametrize("button", BUTTONS)
def test_a_place_in_the_line_is_shown_and_can_be_left(demo, clip, button):
    gate, jobs = threading.Event(), demo.stav2a.jobs

    def others(cancelled):
        gate.wait(60)
        yield "made"

    jobs.start("another visitor", others, "generate")

    async def run() -> list[str]:
        lines = []
        async for update in press(demo, button, clip, "v", **values_for(button)):
            lines.append(told(update))
            if "1 run before yours" in lines[-1]:
                (stop,) = events(demo, "stop", button.replace("fill", "cancel").replace("make", "cancel"))
                stop.fn("v", window("first"))
        return lines

    lines = asyncio.run(run())
    assert any("1 run before yours" in line for line in lines)
    assert "Stopped" in lines[-1]
    assert jobs.get("another visitor").done is False
    gate.set()


@pytest.mark.parametrize(("button", "end"), [("explore-fill", "2 of 2 cells"), ("compare-make", "2 of 2 sounds")])
def test_a_reload_follows_what_still_runs_and_finds_it(demo, clip, button, end):
    tab = button.split("-")[0]

    async def run() -> tuple[list, list]:
        first = press(demo, button, clip, "v", **values_for(button))
        await anext(first)
        await first.aclose()  # the page has gone
        resume = next(e for e in events(demo, "resume") if any(b.elem_id == button for b in e.outputs))
        again = await everything(resume.fn("v", window("second")))
        return again, await everything(resume.fn("somebody else", window("third")))

    again, nothing = asyncio.run(run())
    assert end in told(again[-1])
    assert demo.stav2a.jobs.get(f"v/{tab}").page == "second"
    assert len(nothing) == 1 and "ready" not in told(nothing[0]) and "cells" not in told(nothing[0])


def form_after(demo, button: str, visit: str) -> dict:
    """{elem_id: value} of the form once a reloaded page has been told what there is."""
    source = f"{button.split('-')[0]}-source"
    refill = next(e for e in events(demo, "refill") if any(b.elem_id == source for b in e.outputs))
    values = {block.elem_id: value for block, value in refill.fn(visit).items()}
    return {
        name: value["value"] if isinstance(value, dict) and "value" in value else value
        for name, value in values.items()
    }


@pytest.mark.parametrize(
    ("button", "asked"),
    [
        ("explore-fill", {"guidance": "2, 4", "steps": "3", "seed": 11, "negative": "speech", "control": 0.5}),
        ("compare-make", {"values": "2, 4", "steps": 3, "seed": 11, "negative": "speech", "guidance": 7}),
        (
            "compare-make",
            {"axis": "parts", "options": ["text only", "+ video control"], "steps": 2},
        ),
    ],
    ids=["grid", "numbers", "boxes"],
)
def test_a_reload_brings_the_form_back_as_it_was(demo, clip, button, asked):
    """Clip, caption and every dial, and the values of the axis; nobody else's page gets them."""
    tab = button.split("-")[0]
    asyncio.run(everything(press(demo, button, clip, "v", prompt="a drum", **asked)))
    assert demo.stav2a.jobs.get(f"v/{tab}").done
    form = form_after(demo, button, "v")
    assert form[f"{tab}-source"] == str(clip) and form[f"{tab}-prompt"] == "a drum"
    assert {name: form[f"{tab}-{name}"] for name in asked} == asked
    assert f"{tab}-source" not in form_after(demo, button, "somebody else")


@pytest.mark.parametrize("button", BUTTONS)
def test_a_full_line_is_a_sentence(demo, clip, button):
    gate, jobs = threading.Event(), demo.stav2a.jobs
    jobs.waiting = 0

    def others(cancelled):
        gate.wait(60)
        yield "made"

    jobs.start("another visitor", others, "generate")
    updates = asyncio.run(everything(press(demo, button, clip, "v", **values_for(button))))
    gate.set()
    assert len(updates) == 1 and "queue is full" in told(updates[0])


def test_without_a_clip_one_sentence(demo):
    for button in BUTTONS:
        (event,) = events(demo, "start", button)
        values = [None if "source" in (block.elem_id or "") else block.value for block in event.inputs]
        updates = asyncio.run(everything(event.fn(window("w"), *values)))
        assert len(updates) == 1 and "upload a clip first" in told(updates[0])
