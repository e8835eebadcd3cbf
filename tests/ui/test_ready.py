"""Ready sets of Compare: one clip by several models, made beforehand; opening one runs no model."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from stav2a import systems
from stav2a.generation.engine import Engine
from stav2a.generation.settings import Settings
from stav2a.ui.compare import entries, ready
from stav2a.ui.history import History
from stav2a.ui.page import create_demo


@pytest.fixture(scope="module")
def folder(engine, clip, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    base = Settings(prompt="a ball bounces", model="tiny", steps=2, seed=3)
    ready.write("ideas", clip, base, ["tiny", "other"], engine, folder)
    return folder


def test_a_set_is_small_and_says_what_is_in_it(folder):
    (found,) = ready.installed(folder)
    assert ready.models_of(found) == ["tiny", "other"]
    names = sorted(path.name for path in found.iterdir())
    assert names == ["original.flac", "other.flac", "set.json", "silent.mp4", "tiny.flac"]


def test_an_opened_set_can_be_compared_and_is_stored_once(folder, tmp_path):
    history = History(tmp_path / "runs")
    visit, (found,) = history.visit(None), ready.installed(folder)
    ids = ready.open_set(history, visit, found)
    assert ready.open_set(history, visit, found) == ids
    first, second = entries.pick(entries.every(history, visit), ids)
    assert first.settings["model"] == "tiny" and second.note == "a ball bounces"
    assert first.original and first.video and first.onsets_s
    stored, made = soundfile.read(found / "tiny.flac")[0], soundfile.read(first.audio)[0]
    np.testing.assert_array_equal(stored, made)
    assert len(entries.every(history, visit)) == 2
    assert systems.idea("compact").startswith("Predicted onsets"), "what a system's sound is shown with"


def test_a_click_plays_a_set_and_loads_no_model(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(ready, "FOLDER", folder)
    engine = Engine("tiny")
    demo = create_demo(engine, root=tmp_path / "runs", ratings=tmp_path / "r.sqlite")
    button = next(block for block in demo.blocks.values() if block.elem_id == "ready-ideas")
    assert button.value == "Hear one clip by 2 models"
    act = next(fn.fn for fn in demo.fns.values() if (button._id, "click") in fn.targets)
    shown = {each.elem_id: value for each, value in act(demo.stav2a.history.visit(None)).items() if each.elem_id}
    sounds = shown["compare-player"]["sounds"]
    assert [sound["name"] for sound in sounds] == ["tiny", "other", "Original"]
    assert not engine.has("tiny"), "a model was loaded"


def test_without_a_set_there_is_no_button(tmp_path, monkeypatch):
    monkeypatch.setattr(ready, "FOLDER", tmp_path / "none")
    demo = create_demo(Engine("tiny"), root=tmp_path / "runs", ratings=tmp_path / "r.sqlite")
    assert not [block for block in demo.blocks.values() if str(block.elem_id).startswith("ready-")]
