"""Examples that were made beforehand: they open at once, and no model runs for them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from page_server import make_clip

from stav2a.generation.engine import Engine
from stav2a.generation.settings import Settings
from stav2a.ui.generate import examples
from stav2a.ui.history import Run, clip_hash
from stav2a.ui.page import create_demo


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    clip = make_clip(tmp_path_factory.mktemp("clip") / "a clip.mp4", seconds=0.8)
    settings = Settings(prompt="a ball bounces", model="tiny", steps=2, seed=3)
    for name in ("1-ball", "2-ball"):
        examples.write(name, clip, settings, Engine("tiny"), folder)
    return folder


def test_an_example_can_be_moved_and_read(folder, tmp_path):
    moved = folder.rename(tmp_path / "elsewhere")
    try:
        runs = examples.load(moved)
        assert [run.id for run in runs] == ["1-ball", "2-ball"]
        for run in runs:
            take = run.takes[0]
            files = [run.clip, run.bundle, take.video, take.audio, take.figure["wide"], take.figure["narrow"]]
            assert all(Path(file).is_file() and Path(file).is_relative_to(moved) for file in files)
        assert str(folder) not in (moved / "1-ball" / "run.json").read_text()
    finally:
        moved.rename(folder)


def test_the_figure_for_wide_screens_is_that_of_the_run(folder):
    own = (folder / "1-ball" / "figure.png").read_bytes()
    assert (folder / "1-ball" / "figure_1_wide.png").read_bytes() == own
    assert (folder / "1-ball" / "figure_1_narrow.png").read_bytes() != own


def test_a_run_of_an_older_version_is_read(folder):
    stored = json.loads((folder / "1-ball" / "run.json").read_text())
    now = Run.from_json(stored)
    assert Run.from_json({**stored, "step_s": stored.pop("latent_frame_s")}) == now


def test_choosing_one_shows_its_result_and_runs_no_model(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(examples, "FOLDER", folder)
    engine = Engine("tiny")
    demo = create_demo(engine, root=tmp_path / "runs", ratings=tmp_path / "r.sqlite")
    row = next(block for block in demo.blocks.values() if block.elem_id == "examples")
    choose = next(fn.fn for fn in demo.fns.values() if (row._id, "submit") in fn.targets)
    chosen, history = SimpleNamespace(_data={"index": 1}), demo.stav2a.history
    visit = history.visit(None)
    (folder / "2-ball" / "story.json").write_text(
        '{"edit": "Drag an <i>onset</i>.", "caption": "a drum", "credit": "Clip: A & B"}'
    )
    for _ in range(2):  # the second time it is there already
        updates = choose(visit, chosen)
        (run,) = history.runs(visit)
    shown = {component.elem_id: value for component, value in updates.items() if component.elem_id}
    assert "Drag an &lt;i&gt;onset&lt;/i&gt;." in shown["story"]["value"]
    assert "<p>Clip: A &amp; B</p>" in shown["story"]["value"]
    assert shown["suggestions"]["samples"][0] == ["a drum"]
    assert run.clip_key == clip_hash(folder / "2-ball" / "clip.mp4"), "its onsets can be edited"
    assert Path(run.takes[0].video).is_relative_to(history.folder(visit)) and Path(run.takes[0].video).is_file()
    assert shown["source-video"].endswith("2-ball/clip.mp4")
    assert shown["prompt"] == "a ball bounces"
    assert shown["result-video"]["value"].endswith("clip_sound.mp4")
    assert "0.8 s" in shown["clip-info"]
    assert not engine.has("tiny"), "a model was loaded"
    for forged in (None, {}, {"index": 2}, {"index": -1}, {"index": "0"}, [0]):
        with pytest.raises(gr.Error, match="no such example"):
            choose(visit, SimpleNamespace(_data=forged))


def test_a_story_survives_a_new_result(folder, tmp_path):
    examples.write("ball", folder / "1-ball" / "clip.mp4", Settings(model="tiny", steps=1), Engine("tiny"), tmp_path)
    (tmp_path / "ball" / "story.json").write_text("{}")
    clip = tmp_path / "ball" / "clip.mp4"
    again = examples.write("ball", clip, Settings(model="tiny", steps=1, seed=4), Engine("tiny"), tmp_path)
    assert again.seed == 4 and (tmp_path / "ball" / "story.json").is_file() and clip.stat().st_size > 0


def test_without_examples_there_is_no_row(monkeypatch, tmp_path):
    monkeypatch.setattr(examples, "FOLDER", tmp_path / "none")
    demo = create_demo(Engine("tiny"), root=tmp_path / "runs", ratings=tmp_path / "r.sqlite")
    assert not [block for block in demo.blocks.values() if block.elem_id == "examples"]
