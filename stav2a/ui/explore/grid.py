"""The grid component: thumbnails to click, with one player for all sounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import gradio as gr
import numpy as np

from stav2a.ui.compare.entries import Entry
from stav2a.ui.widgets.player import MEL_FLOOR, PLAYER, file_data
from stav2a.ui.widgets.widget import widget

STEM = Path(__file__).with_suffix("")
DECIBELS = 20 / math.log(10)  # per neper: mels are natural logarithms of amplitudes
Cells = Mapping[tuple[int, int], Entry]  # by (row, column), in order of completion


def explore_grid(**kwargs) -> gr.HTML:
    """Shows what `grid_value` returns; its event `submit` carries {"ids": [...]} to compare."""
    return widget(STEM, '<div class="eg" hidden></div>', PLAYER, **kwargs)


def grid_value(key: str, guidance: Sequence[float], steps: Sequence[int], cells: Cells) -> dict:
    """The axes of a grid and its finished cells; new values of the same `key` may only append cells."""
    first = next(iter(cells.values()), None)
    sounds = [
        {
            "id": entry.id,
            "name": f"guidance {guidance[column]:g}, {steps[row]} step{'' if steps[row] == 1 else 's'}",
            "row": row,
            "column": column,
            "file": file_data(entry.files["listen"]),
            "mel": file_data(entry.files["mel"]),
            "own_db": entry.files["own_db"],
            "duration_s": entry.duration_s,
            "onsets_s": entry.onsets_s,
            "measures": measures,
        }
        for (row, column), entry in cells.items()
        for measures in [measures_of(cells, row, column)]
    ]
    return {
        "key": key,
        "guidance": [f"{w:g}" for w in guidance],
        "steps": list(steps),
        "duration_s": first.duration_s if first else 0,
        "video": file_data(first.video) if first and first.video else None,
        "sounds": sounds,
        "reference": None,
        "blind": False,
    }


def measures_of(cells: Cells, row: int, column: int) -> dict[str, float | None]:
    """Class match, onset gain, loudness in LUFS, and the mel distance to the cell on the left in dB."""
    entry, left = cells[row, column], cells.get((row, column - 1))
    return {
        "match": entry.measures.get("class_match"),
        "gain": entry.measures.get("onset_f1_gain"),
        "loudness": entry.measures.get("loudness_lufs"),
        "distance": left and mel_distance(left.files["array"], entry.files["array"]),
    }


@lru_cache(512)
def mel_distance(first: str, second: str) -> float:
    """Mean absolute difference of two log-mels in dB; values below the floor are set to the floor."""
    one, other = (np.maximum(np.load(path).astype(np.float32), MEL_FLOOR) for path in (first, second))
    frames = min(len(one), len(other))
    return round(float(DECIBELS * np.abs(one[:frames] - other[:frames]).mean()), 3)
