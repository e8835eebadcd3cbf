"""Every control of Generate reaches the run: moved alone, it changes its own setting and no other."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import gradio as gr
import pytest

from stav2a.generation.engine import Engine
from stav2a.ui.generate import edits, runs
from stav2a.ui.page import create_demo

MOVED = {  # elem_id of the control: (what it is moved to, settings that follow)
    "prompt": ("glass breaks", {"prompt": "glass breaks"}),
    "negative": ("speech", {"negative_prompt": "speech"}),
    "start": (0.5, {"start_s": 0.5}),
    "length": (1.5, {"length_s": 1.5}),
    "model": ("compact", {"model": "compact"}),
    "guidance": (7.5, {"guidance_scale": 7.5}),
    "steps": (60, {"steps": 60}),
    "sampler": ("ddim", {"sampler": "ddim"}),
    "seed": (99, {"seed": 99}),
    "takes-count": (3, {"takes": 3}),
    "strength": (0.5, {"strength": 0.5}),
    "onset-threshold": (0.2, {"onset_threshold": 0.2}),
    "control": (0.25, {"control_scale": 0.25}),
    "video-guidance": (2.5, {"video_guidance_scale": 2.5}),
    "original": ("mix", {"original_audio": "mix"}),
    "audio-track": (2, {"audio_track": 2}),
    "gain": (-3, {"original_gain_db": -3.0}),
    "level": (False, {"loudness_lufs": None}),
    "lufs": (-14, {"loudness_lufs": -14.0}),
    "reference": ("knock.wav", {"reference": "knock.wav"}),
    "export": (["midi", "stems"], {"exports": ("midi", "stems")}),
    "audio-format": ("flac", {"audio_format": "flac"}),
    "audio-rate": (48_000, {"audio_rate": 48_000}),
}
ELSEWHERE = {"source-video", "negative-guidance", "alignment-guidance"}  # the scales: TA-V2A's, below


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return create_demo(Engine("tiny"), root=folder / "runs", ratings=folder / "ratings.sqlite")


@pytest.fixture
def asked(demo, monkeypatch):
    """(`press`, which gives the settings that a press of Generate or Regenerate asks for; the form's elem_ids)."""
    seen = []

    def generation(engine, history, visit, clip, settings, limits):
        seen.append(settings)
        return lambda cancelled: iter(())

    monkeypatch.setattr(runs, "generation", generation)
    monkeypatch.setattr(edits, "clip_hash", lambda path: "" if path is None else "hash")
    blocks = demo.blocks.values()

    def event(button: str):
        (block,) = [block for block in blocks if getattr(block, "elem_id", None) == button]
        return next(fn for fn in demo.fns.values() if fn.name == "start" and (block._id, "click") in fn.targets)

    def press(button: str = "generate", editor=None, **moved):
        fn, given = event(button), {"source-video": "clip.mp4", "onset-editor": editor, **moved}
        stand = {b: "" if isinstance(b, gr.Textbox) else b.value for b in fn.inputs}  # as a browser sends it
        values = ["v" if b is demo.stav2a.visit else given.get(b.elem_id, stand[b]) for b in fn.inputs]

        async def run() -> list:
            return [update async for update in fn.fn(SimpleNamespace(session_hash="window"), *values)]

        told = asyncio.run(run())
        assert seen, [value for value in told[-1].values() if isinstance(value, str)]
        return seen.pop().to_dict()

    names = {block.elem_id for block in event("generate").inputs} - {None, "onset-editor", "layout-editor"}
    return press, names


def test_every_control_is_covered(asked):
    assert asked[1] == {*MOVED, *ELSEWHERE}


@pytest.mark.parametrize("control", MOVED)
def test_a_control_sets_its_own_setting_and_no_other(asked, control):
    press, _ = asked
    value, expected = MOVED[control]
    beside = {"strength": 0.7} if control == "reference" else {}  # at 1 nothing of it would be heard
    before, after = press(**beside), press(**{**beside, control: value})
    assert {name: value for name, value in after.items() if value != before[name]} == expected


def test_the_dials_of_a_system_reach_it_alone(asked):
    press, _ = asked
    dials = {"negative-guidance": 4, "alignment-guidance": 50}
    own = press(model="ta-v2a", **dials)
    assert (own["negative_guidance_scale"], own["alignment_guidance_scale"]) == (4.0, 50.0)
    other = press(**dials)
    assert not {"negative_guidance_scale", "alignment_guidance_scale"} & set(other)


def test_the_seed_stays_and_edits_are_followed(asked):
    press, _ = asked
    assert {press(seed=5)["seed"] for _ in range(2)} == {5}
    of_clip = {"clip": "hash 0", "predicted_s": [0.4], "onsets_s": [0.4, 1.2]}
    for button in ("generate", "regenerate"):
        assert press(button, editor=of_clip, seed=5)["onsets_s"] == (0.4, 1.2)
    assert press(editor={**of_clip, "onsets_s": [0.4]})["onsets_s"] is None, "nothing was edited"
    assert press(editor={**of_clip, "clip": "another 0"})["onsets_s"] is None
    assert press(editor=of_clip, start=0.5)["onsets_s"] is None, "another part"


def test_without_a_clip_the_caption_alone_is_asked_for(asked):
    press, _ = asked
    alone = press(**{"source-video": None, "prompt": "a dog barks", "start": 3})
    assert (alone["start_s"], alone["length_s"], alone["prompt"]) == (0.0, 5.0, "a dog barks")
    assert press(**{"source-video": None, "prompt": "a dog barks", "length": 2})["length_s"] == 2.0
    with pytest.raises(AssertionError, match="upload a clip, or write a caption"):
        press(**{"source-video": None})


def test_the_dice_give_another_seed(demo):
    (dice,) = [block for block in demo.blocks.values() if getattr(block, "elem_id", None) == "dice"]
    event = next(fn for fn in demo.fns.values() if (dice._id, "click") in fn.targets)
    assert len({event.fn() for _ in range(3)}) == 3
    assert [block.elem_id for block in event.outputs] == ["seed"]
