"""The layout editor: paint on the audio layout that TiVA predicts, before generating.

The browser side is in `layout_editor.html`, `.css` and `.js` beside this file. What it sends back could be forged, so
`painted` checks all of it; the model checks the number of rows against the clip.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import gradio as gr
import numpy as np

from stav2a.generation.settings import check_layout
from stav2a.media.limits import InputError
from stav2a.ui.widgets.widget import widget

STEM = Path(__file__).with_suffix("")


def layout_editor(**kwargs) -> gr.HTML:
    """The component; its value is what `layout_value` returns, or None."""
    return widget(STEM, **kwargs)


def layout_value(layout: np.ndarray | list, duration_s: float, predicted: np.ndarray | list | None = None) -> dict:
    """What the editor shows: rows in time of loudness by band, in [0, 1]; Reset restores `predicted`."""

    def plain(rows) -> list[list[float]]:
        return [[round(float(v), 3) for v in row] for row in np.clip(np.asarray(rows, float), 0, 1)]

    return {
        "layout": plain(layout),
        "predicted": plain(layout if predicted is None else predicted),
        "duration_s": round(float(duration_s), 4),
        "revision": secrets.token_hex(6),  # distinguishes a new clip from an echo of the user's own edit
    }


def painted(value: object) -> tuple[tuple[float, ...], ...]:
    """The layout from the browser's data; `InputError` if it is not valid."""
    if not isinstance(value, dict) or not value:
        raise InputError("There is no layout to follow yet: press “Generate” with this model first.")
    return check_layout(value.get("layout"))
