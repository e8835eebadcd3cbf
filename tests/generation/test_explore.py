"""Variants and the grid: every axis changes the sound, nothing is done twice, cancel keeps what is done."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from variants_made import BASE, sounds

from stav2a.generation.generate import Rendered, render
from stav2a.generation.variants import PARTS, along, grid, numbers
from stav2a.media.limits import InputError
from stav2a.ui.compare import entries
from stav2a.ui.compare import fresh as compare_fresh
from stav2a.ui.explore.curves import curves_html
from stav2a.ui.explore.grid import grid_value, measures_of, mel_distance
from stav2a.ui.history import History
from stav2a.ui.line.jobs import Jobs
from stav2a.ui.page import LIMITS

# ---- variants: every axis changes the sound, and nothing else does


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("guidance_scale", [1, 3, 6]),
        ("steps", [2, 3]),
        ("seed", [1, 2, 3, 4]),
        ("sampler", ["dpm++2m", "unipc", "ddim", "ddpm"]),
        ("control_scale", [0, 0.5, 2]),
        ("model", ["tiny", "other"]),
        ("parts", list(PARTS)),
    ],
)
def test_every_axis_changes_the_sound(engine, clip, axis, values):
    variants = along(axis, replace(BASE, steps=4), values)
    assert len({variant.name for variant in variants}) == len(values)
    made = sounds(engine, clip, variants)
    for k, one in enumerate(made):
        for other in made[k + 1 :]:
            assert not np.allclose(one, other, atol=1e-4), f"two values of {axis} sound the same"


@pytest.mark.parametrize(
    "change", [{"prompt": "rain"}, {"negative_prompt": "speech"}, {"start_s": 0.5}, {"length_s": 1.0}]
)
def test_every_other_setting_changes_a_set(engine, clip, change):
    plain, changed = (
        sounds(engine, clip, along("guidance_scale", base, [2, 4])) for base in (BASE, replace(BASE, **change))
    )
    for one, other in zip(plain, changed, strict=True):
        assert len(one) != len(other) or not np.allclose(one, other, atol=1e-4)


def test_a_batch_gives_what_its_items_give_alone(engine, clip):
    """Batched cells, one denoised alone, and the pipeline called directly: one and the same sound."""
    from stav2a.media import read_frames

    batched = sounds(engine, clip, along("guidance_scale", BASE, [1, 3, 6]))[1]
    alone = sounds(engine, clip, along("guidance_scale", BASE, [3]))[0]
    pipe = engine.pipeline("tiny")
    frames = read_frames(clip, pipe.timeline.fps, pipe.timeline.frame_size).frames
    called = pipe(frames, BASE.prompt, num_inference_steps=2, guidance_scale=3.0, seed=7).waveforms[0]
    assert np.allclose(alone, called, atol=1e-3)
    assert np.allclose(batched, alone, atol=1e-3)


def test_a_grid_looks_once_and_batches_equal_steps(engine, clip, monkeypatch):
    pipe = engine.pipeline("tiny")
    calls = {"encode_video": 0, "encode_prompt": 0, "denoise": []}
    for name in ("encode_video", "encode_prompt", "denoise"):
        own = getattr(type(pipe), name)

        def counted(self, *args, _own=own, _name=name, **kwargs):
            if _name == "denoise":
                calls["denoise"].append((args[0][0].sampling["steps"], len(args[0])))
            else:
                calls[_name] += 1
            return _own(self, *args, **kwargs)

        monkeypatch.setattr(type(pipe), name, counted)
    done = [i for i in render(engine, clip, grid(BASE, [1, 2, 3, 5, 7, 10], [4, 2])) if isinstance(i, Rendered)]
    assert len(done) == 12
    assert calls == {"encode_video": 1, "encode_prompt": 1, "denoise": [(2, 6), (4, 6)]}, "fewest steps first"
    assert [item.index for item in done] == [*range(6, 12), *range(6)]


def test_the_engine_is_free_again_after_an_abandoned_render(engine, clip):
    stream = render(engine, clip, grid(BASE, [1, 2], [2]))
    for item in stream:
        if item.stage == "denoise":
            break
    stream.close()
    assert engine.lock.acquire(blocking=False)
    engine.lock.release()


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ("1, x", "guidance_scale", "x"),
        ("0, 3", "guidance_scale", "between 1 and 10"),
        ("1,2,3,4,5", "guidance_scale", "5 values"),
        ("3", "guidance_scale", "1 values"),
        ("3, 3.0", "guidance_scale", "1 values"),
        ("2, 2.5", "steps", "whole"),
        ("nan, 2", "steps", "between 1 and 200"),
        ("1e9, 2", "steps", "200"),
        ("<b>, 2", "seed", "<b>"),
    ],
)
def test_values_that_make_no_sense_are_refused_in_a_sentence(text, field, says):
    with pytest.raises(InputError, match=says) as refusal:
        numbers(text, field, 4, 2)
    assert str(refusal.value).endswith(".")


def test_values_are_read_in_order():
    assert numbers(" 6;1 , 3", "guidance_scale", 4, 2) == [1, 3, 6]
    assert numbers("25,5", "steps", 4) == [5, 25] and all(isinstance(n, int) for n in numbers("25,5", "steps", 4))


@pytest.mark.parametrize(
    ("axis", "text", "options", "names"),
    [
        ("guidance_scale", "1, 3", [], ["guidance 1", "guidance 3"]),
        ("sampler", "", ["ddim", "dpm++2m"], ["dpm++2m", "ddim"]),
        ("parts", "", ["+ onset curve", "text only"], ["text only", "+ onset curve"]),
        ("model", "", ["tiny", "other"], ["tiny", "other"]),
    ],
)
def test_the_form_makes_variants(axis, text, options, names):
    assert [variant.name for variant in compare_fresh.variants_of(BASE, axis, text, options)] == names


def test_the_form_refuses_one_value_and_strange_axes():
    for axis, options in (("sampler", ["ddim"]), ("parts", ["text only", "nothing"]), ("model", []), ("prompt", ["a"])):
        with pytest.raises((InputError, KeyError)):
            compare_fresh.variants_of(BASE, axis, "", options)


# ---- the grid


def test_a_grid_shows_its_measures(made):
    _, _, first = made
    cells = {(0, column): entry for column, entry in enumerate(first)}
    value = grid_value("k", [1, 3, 6], [2], cells)
    assert [(sound["row"], sound["column"]) for sound in value["sounds"]] == [(0, 0), (0, 1), (0, 2)]
    assert value["sounds"][0]["measures"]["distance"] is None, "the first has no neighbour"
    assert value["sounds"][1]["measures"]["distance"] > 0
    assert all(sound["measures"]["loudness"] is not None for sound in value["sounds"])
    json.dumps(value)
    assert all(0 <= sound["measures"]["match"] <= 1 for sound in value["sounds"]), "the caption names a class"
    html = curves_html([1, 3, 6], [2], cells)
    assert html.count("<img") == 4 and curves_html([1, 3, 6], [2], {(0, 0): first[0]}) == ""
    unnamed = {
        place: replace(entry, measures={**entry.measures, "class_match": None}) for place, entry in cells.items()
    }
    assert curves_html([1, 3, 6], [2], unnamed).count("<img") == 3
    assert measures_of(cells, 0, 2)["distance"] == mel_distance(first[1].files["array"], first[2].files["array"])


def test_distance_is_in_decibels(tmp_path):
    mel = np.full((10, 64), -4.0, np.float16)
    for name, array in (("a", mel), ("b", mel + np.float16(np.log(10))), ("quiet", np.full((10, 64), -30, np.float16))):
        np.save(tmp_path / f"{name}.npy", array)
    a, b, quiet = (str(tmp_path / f"{name}.npy") for name in ("a", "b", "quiet"))
    assert mel_distance(a, a) == 0
    assert mel_distance(a, b) == pytest.approx(20, abs=0.02), "ten times the amplitude is 20 dB"
    assert mel_distance(a, quiet) == pytest.approx(7 * 8.686, abs=0.1), "silence is not further away than the floor"


def test_cancelling_keeps_what_is_finished(engine, clip, tmp_path):
    history = History(tmp_path)
    visit = history.visit(None)
    asked = grid(BASE, [1, 2], [2, 150])
    job = Jobs().start(visit, entries.rendering(engine, history, visit, clip, asked, LIMITS), "explore")
    deadline = time.monotonic() + 120
    while not job.done and len(finished(history, visit, clip)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    job.cancel()
    job.join(60)
    assert job.done and job.cancelled and job.error is None
    assert len(finished(history, visit, clip)) == 2, "the first row stays, the second was stopped"
    assert engine.lock.acquire(timeout=5)
    engine.lock.release()


def finished(history, visit, clip) -> dict:
    folder = entries.folder_of(history, visit, clip, BASE)
    return entries.of_folder(folder) if folder else {}
