"""The page and the command line with systems: painting a layout, dials of some alone, captions that were found."""

from __future__ import annotations

import copy
import subprocess
import sys

import numpy as np
import pytest
from small_systems import pipeline_of

from stav2a import systems
from stav2a.generation.engine import Engine
from stav2a.generation.generate import generate
from stav2a.generation.settings import Settings, check_dials
from stav2a.media.limits import InputError
from stav2a.models.defaults import model_dials
from stav2a.ui.generate import controls
from stav2a.ui.history import History, Run, record
from stav2a.ui.widgets.layout_editor import layout_value, painted

SYSTEMS = ("tiva", "ta-v2a", "vta-ldm")


@pytest.fixture(scope="module")
def engine(tiny_pipeline):
    """Systems of the tiny model by their names."""

    class WithSystems(Engine):
        def models(self):
            return dict.fromkeys(["tiny", *SYSTEMS])

        def _load(self, name):
            return tiny_pipeline if name == "tiny" else pipeline_of(copy.copy(tiny_pipeline), name)

    return WithSystems("tiny")


def made(engine, clip, tmp_path, **settings):
    *_, result = generate(engine, clip, Settings(steps=1, **settings), tmp_path)
    return result


def test_a_layout_is_painted_on_and_followed(engine, clip, tmp_path):
    first = made(engine, clip, tmp_path / "first", model="tiva")
    history = History(tmp_path / "runs")
    run = record(first, history.new_folder(history.visit(None)), "clip.mp4")
    assert np.asarray(run.layout).shape == (len(run.layout), 5) and run.layout == run.predicted_layout
    shown = layout_value(run.layout, run.duration_s, run.predicted_layout)
    edited = {**shown, "layout": [[1.0] * 5 for _ in shown["layout"]]}
    second = made(engine, clip, tmp_path / "second", model="tiva", layout=painted(edited))
    assert np.abs(second.takes[0].waveform - first.takes[0].waveform).max() > 1e-4
    assert (second.layout == 1).all() and np.array_equal(second.predicted_layout, first.layout)
    again = Settings.from_json(second.settings.to_json())  # settings reproduce the run
    assert again.layout == second.settings.layout
    third = made(engine, clip, tmp_path / "third", model="tiva", layout=again.layout)
    assert np.array_equal(third.takes[0].waveform, second.takes[0].waveform)
    assert Run.from_json({**run.__dict__, "takes": []}).layout == run.layout


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, "no layout to follow"),
        ({"layout": []}, "1 to 8000 rows"),
        ({"layout": [[0.5] * 4, [0.5] * 5]}, "the same number of values"),
        ({"layout": [[]]}, "1 to 128 values"),
        ({"layout": [0.5]}, "1 to 128 values"),
        ({"layout": [[0.5, 0.5, 0.5, 0.5, 1.5]]}, "between 0 and 1"),
        ({"layout": [[0.5, 0.5, 0.5, 0.5, float("nan")]]}, "between 0 and 1"),
        ({"layout": "loud"}, "1 to 8000 rows"),
    ],
)
def test_forged_layouts_are_refused(value, sentence):
    with pytest.raises(InputError, match=sentence):
        painted(value)


def test_a_layout_of_another_length_is_told(engine, clip, tmp_path):
    with pytest.raises(ValueError, match="this clip needs"):
        made(engine, clip, tmp_path, model="tiva", layout=((0.5,) * 5,))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"model": "vta-ldm", "layout": ((0.5,) * 5,)}, "cannot follow the audio layout; tiva can"),
        (
            {"model": "tiny", "negative_guidance_scale": 2.0},
            "cannot follow the scale of the negative caption; ta-v2a can",
        ),
        ({"model": "tiva", "alignment_guidance_scale": 2.0}, "cannot follow the alignment guidance; ta-v2a can"),
        ({"model": "vta-ldm", "onsets_s": (0.5,)}, "cannot follow the onsets; sta-v2a and recorded can"),
        (
            {"model": "vta-ldm", "video_guidance_scale": 2.0},
            "cannot follow the video guidance scale; sta-v2a and ta-v2a can",
        ),
        ({"model": "tiva", "control_scale": 0.5}, "cannot follow the temporal control strength; sta-v2a can"),
    ],
)
def test_dials_that_would_do_nothing_are_refused(engine, settings, sentence):
    has = engine.pipeline(settings["model"]).dials
    with pytest.raises(InputError, match=sentence):
        check_dials(Settings.of(settings), has)
    check_dials(Settings(model=settings["model"]), has)
    check_dials(Settings(model=settings["model"], video_guidance_scale=1.0), has)


def test_a_caption_that_was_found_is_kept_with_the_run(engine, clip, tmp_path):
    result = made(engine, clip, tmp_path, model="ta-v2a")
    assert result.settings.prompt  # one of the bank, shown and editable
    again = made(engine, clip, tmp_path / "again", model="ta-v2a", prompt=result.settings.prompt)
    assert again.settings.prompt == result.settings.prompt
    np.testing.assert_allclose(again.takes[0].waveform, result.takes[0].waveform, atol=1e-5)


def test_the_pages_dials_reach_ta_v2a_alone():
    values = {"model": "ta-v2a", "negative_guidance_scale": 1.0, "alignment_guidance_scale": 20.0}
    assert controls.settings_of(values, has=model_dials("ta-v2a")).own == {
        "negative_guidance_scale": 1.0,
        "alignment_guidance_scale": 20.0,
    }
    assert controls.settings_of({**values, "model": "tiny"}, has=model_dials("tiny")).own == {}


def test_compare_makes_several_systems_of_one_clip(engine, clip):
    from stav2a.generation.generate import Rendered, render
    from stav2a.generation.variants import along

    variants = along("model", Settings(model="tiny", steps=1, prompt="a tone"), ["tiny", "tiva", "ta-v2a"])
    done = [item for item in render(engine, clip, variants) if isinstance(item, Rendered)]
    assert len(done) == 3 and len({item.waveform.tobytes() for item in done}) == 3


def test_the_page_has_the_editor_and_the_dials(engine, tmp_path):
    from stav2a.ui.page import create_demo

    demo = create_demo(engine, root=tmp_path)
    ids = {getattr(block, "elem_id", None) for block in demo.blocks.values()}
    assert {"layout-editor", "paint", "negative-guidance", "alignment-guidance"} <= ids


@pytest.mark.parametrize("name", systems.names())
def test_what_is_told_of_a_system_is_what_its_class_says(name):
    kind, told = systems.find(name), systems.declared(name)
    assert told.title == kind.title and (told.idea or told.title)[1:] in systems.about(name)
    assert ("hears no caption" in systems.about(name)) == (kind.uses_caption is False)
    assert ("layout" in told.dials) == (name == "tiva")
    assert ("layout" in systems.about(name).removeprefix(systems.idea(name))) == (name == "tiva")


def test_the_page_is_made_without_torch(tmp_path):
    """It answers before a model is loaded, and torch takes seconds to import."""
    code = (
        "import sys; from stav2a.generation.engine import Engine; from stav2a.ui.page import create_demo; "
        f"create_demo(Engine('compact'), ratings={str(tmp_path / 'r.sqlite')!r}); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"
