"""The figure: one time axis, thread-safe, quick, and honest about edits."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from stav2a.generation import figure as figures
from stav2a.generation.figure import NARROW_PX, WIDE_PX, Tracks, clip_figure, describe, edits, time_extent, to_png

ONSETS = [0.8, 1.96, 3.2, 4.6]


@pytest.fixture
def tracks() -> Tracks:
    rng = np.random.default_rng(0)
    wave = (rng.normal(size=160_000) * 0.1).astype(np.float32)
    mel = rng.normal(size=(1000, 64)).astype(np.float32) - 5
    curve = rng.random(250)
    return Tracks(10.0, 16_000, wave, mel, curve, 0.04, ONSETS, None, ONSETS, wave, mel, ONSETS)


def axes_of(figure) -> list:
    return [a for a in figure.axes if a.get_legend() is not None or a.lines or a.images or a.collections]


@pytest.mark.parametrize("width_px", [WIDE_PX, NARROW_PX])
def test_every_row_spans_the_documented_pixels(tracks, width_px):
    figure = clip_figure(tracks, width_px=width_px)
    left, right = time_extent(width_px)
    assert len(figure.axes) == 6
    for axes in figure.axes:
        box = axes.get_position()
        assert (box.x0, box.x1) == pytest.approx((left, right))
        assert axes.get_xlim() == (0, 10.0)


def test_png_is_as_wide_as_asked(tracks):
    image = Image.open(BytesIO(to_png(clip_figure(tracks, width_px=NARROW_PX), scale=2)))
    assert image.width == 2 * NARROW_PX
    assert image.height > image.width  # rows do not shrink on a phone


def test_an_onset_is_drawn_at_its_documented_pixel():
    data = Tracks(10.0, onset_curve=np.zeros(250), predicted_onsets_s=[2.5])
    image = np.asarray(Image.open(BytesIO(to_png(clip_figure(data), scale=1))).convert("RGB")).astype(int)
    blue = np.abs(image - np.array([0x00, 0x72, 0xB2])).sum(axis=2) < 60
    columns = np.flatnonzero(blue.sum(axis=0) > 40)
    left, right = time_extent()
    expected = WIDE_PX * (left + (right - left) * 0.25)
    assert len(columns)
    assert abs(columns.mean() - expected) <= 1.5


def test_rows_follow_what_there_is(tracks):
    silent = replace(tracks, original_waveform=None, original_mel=None, original_onsets_s=None)
    assert len(clip_figure(silent).axes) == 4
    assert len(clip_figure(Tracks(3.0, predicted_onsets_s=[1.0])).axes) == 1


def test_edits_tell_kept_added_and_removed():
    assert edits([1.0, 2.0, 3.0], [1.01, 2.5, 3.0]) == ([1.01, 3.0], [2.5], [2.0])
    assert edits([1.0], None) == ([1.0], [], [])
    assert edits([1.0], []) == ([], [], [1.0])


def test_edited_onsets_change_the_picture(tracks):
    plain = to_png(clip_figure(tracks), 1)
    edited = to_png(clip_figure(replace(tracks, onsets_s=[0.8, 1.96, 3.2, 6.0])), 1)
    assert plain != edited


@pytest.mark.parametrize("wave", [np.zeros(0, np.float32), np.zeros(16_000, np.float32), np.ones(3, np.float32)])
def test_silence_and_scraps_are_drawn(wave):
    assert to_png(clip_figure(Tracks(1.0, 16_000, wave, np.full((1, 64), -11.5))), 1)[:4] == b"\x89PNG"


def test_no_pyplot_and_the_same_bytes_from_many_threads(tracks):
    expected = to_png(clip_figure(tracks), 1)
    drawn = []
    threads = [threading.Thread(target=lambda: drawn.append(to_png(clip_figure(tracks), 1))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drawn == [expected] * 3
    assert not hasattr(figures, "plt")


def test_colours_differ_in_lightness_for_those_who_see_no_hue():
    def lightness(colour: str) -> float:
        red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        return 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2

    assert abs(lightness(figures.BLUE) - lightness(figures.GREEN)) > 0.08
    assert abs(lightness(figures.BLUE) - lightness(figures.VERMILION)) > 0.05


def test_a_minute_is_drawn_soon(tracks):
    minute = replace(tracks, duration_s=60.0, waveform=np.tile(tracks.waveform, 6), mel=np.tile(tracks.mel, (6, 1)))
    clip_figure(minute)  # fonts are loaded once
    taken = []
    for _ in range(4):
        started = time.process_time()
        to_png(clip_figure(minute))
        taken.append(time.process_time() - started)
    assert min(taken) < 0.8, "0.5 s and room for cold caches: the processor's time beside other work"


def test_description_says_the_onsets(tracks):
    assert describe(tracks).startswith("4 onsets over 10.0 s; 4 heard in the generated audio")
    assert "0.80, 1.96" in describe(tracks)
