"""FoleyWorld's framing: what sounds is in the picture when it sounds."""

from __future__ import annotations

import numpy as np
import pytest

from stav2a.data.foleyworld import FoleyWorld
from stav2a.data.foleyworld import world as world_module
from stav2a.data.foleyworld.picture.brush import Brush
from stav2a.data.foleyworld.picture.camera import Film
from stav2a.data.foleyworld.picture.staging import LEAST_SCALE, Place, anywhere, beside, framed
from stav2a.data.foleyworld.scenes.table import SCENES, SILENT

WITHOUT_CONTACTS = ("machine", "weather", *SILENT)  # beds of sound and silence; a crowd that claps is rare
WINDOW = (0.2, 0.1, 0.8, 0.7)


def corners(place: Place, focus: tuple) -> np.ndarray:
    """Opposite corners of the focus on the stage, [2, 2]."""
    x0, y0, x1, y1 = focus
    if place.mirror:
        x0, x1 = 1 - x1, 1 - x0
    return np.array([(x0, y0), (x1, y1)]) * place.scale + (place.x, place.y)


@pytest.mark.parametrize("seed", range(20))
def test_framed_puts_the_focus_into_the_window(seed):
    rng = np.random.default_rng(seed)
    place = anywhere(rng)
    left, top = rng.uniform(0, 0.6, 2)
    focus = (left, top, left + rng.uniform(0.1, 0.4), top + rng.uniform(0.1, 0.4))
    new = framed(place, focus, WINDOW)
    low, high = corners(new, focus)
    assert (low >= np.array(WINDOW[:2]) - 1e-9).all() and (high <= np.array(WINDOW[2:]) + 1e-9).all()
    assert new.scale <= place.scale and new.mirror == place.mirror


def test_what_is_framed_already_stays_where_it_is():
    place = Place(0.5, 0.25, 0.25, False)
    assert framed(place, (0.3, 0.3, 0.7, 0.7), WINDOW) == place


def test_a_focus_too_large_is_centred_and_not_shrunk_away():
    new = framed(Place(1.0, 0.0, 0.0, False), (0.0, 0.0, 4.0, 4.0), WINDOW)
    assert new.scale == LEAST_SCALE
    np.testing.assert_allclose(corners(new, (0.0, 0.0, 4.0, 4.0)).mean(0), (0.5, 0.4))


def test_two_beside_each_other_keep_to_their_parts():
    rng = np.random.default_rng(0)
    focus = (0.3, 0.3, 0.7, 0.7)
    left, right = (corners(framed(beside(rng, k), focus, (0.0, 0.0, 1.0, 1.0)), focus).mean(0)[0] for k in (0, 1))
    assert left < 0.5 < right


@pytest.mark.parametrize("name", [*SCENES, *SILENT])
def test_the_focus_is_in_the_picture_when_it_sounds(name):
    """A dot at the middle of what is framed shows in the frame at the scene's events, whatever the camera does."""
    world = FoleyWorld(scenes=(name,), duration_s=4.0, size=48)
    seen = []
    for index in range(6):
        plan, rng = world.plan(index), np.random.default_rng(index)
        for shot in range(len(plan.cuts_s) + 1):
            cast, _, camera = world._shot(rng, plan, shot, Film(rng, 48, world.art), 58)
            for scene, place in cast:
                for event in (e for e in scene.score.events if e.audible and scene.focus):
                    canvas = np.zeros((58, 58, 3), np.uint8)
                    x0, y0, x1, y1 = scene.focus
                    brush = Brush(canvas, place.scale, place.x, place.y, place.mirror)
                    brush.disc((x0 + x1) / 2, (y0 + y1) / 2, 0.03 / place.scale, (255, 255, 255))
                    seen.append(camera.frame(canvas, event.time_s).max() > 60)
    assert bool(seen) == (name not in WITHOUT_CONTACTS)
    assert not seen or np.mean(seen) > 0.97, f"{np.mean(seen):.2f} of {len(seen)}"


def test_pictures_are_exposed_after_their_time_stamp(monkeypatch):
    shot = []
    draw = world_module._shoot
    monkeypatch.setattr(world_module, "_shoot", lambda *stage: shot.append(stage[-1]) or draw(*stage))
    world, blurred = FoleyWorld(duration_s=1.0, size=32), 0
    for index in range(12):
        shot.clear()
        pictures = world.frames(index)
        times = np.array(shot)
        if (np.diff(times) > 0).all() and len(times) <= len(pictures):
            continue  # sharp: one moment a picture
        stamps, closings = times[::2], times[1::2]
        assert ((closings > stamps) & (closings - stamps < 1 / 12)).all()
        blurred += 1
    assert 2 <= blurred <= 10
