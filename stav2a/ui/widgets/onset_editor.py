"""The onset editor: a timeline under the video on which onsets are added, moved and deleted.

The browser side lies beside this file (`onset_editor.html`, `.css`, `.js`). What it sends back is a plain
object that anyone could forge, so `onsets_of` trusts nothing in it; the settings check the times again.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

import gradio as gr
import numpy as np

from stav2a.generation.settings import check_onsets
from stav2a.media.limits import InputError

HERE = Path(__file__).parent


def onset_editor(**kwargs) -> gr.HTML:
    """The component; its value is what `editor_value` returns, and its event `change` follows every edit.

    A function and not a subclass: gradio writes a stub file beside the source of every subclass.
    """
    return gr.HTML(
        value=None,
        html_template=(HERE / "onset_editor.html").read_text(encoding="utf-8"),
        css_template=(HERE / "onset_editor.css").read_text(encoding="utf-8"),
        js_on_load=(HERE / "onset_editor.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        **kwargs,
    )


def editor_value(
    duration_s: float,
    curve: np.ndarray | Sequence[float],
    predicted_s: Sequence[float],
    onsets_s: Sequence[float] | None = None,
    step_s: float = 0.04,
    start_s: float = 0.0,
) -> dict:
    """What the editor shows. `start_s` is where the clip begins within the uploaded video."""
    used = predicted_s if onsets_s is None else onsets_s
    return {
        "duration_s": round(float(duration_s), 4),
        "step_s": float(step_s),
        "start_s": float(start_s),
        "curve": [round(float(p), 3) for p in curve],
        "predicted_s": [round(float(t), 4) for t in predicted_s],
        "onsets_s": [round(float(t), 4) for t in used],
        "revision": secrets.token_hex(6),  # tells a new clip from an echo of the person's own edit
    }


def onsets_of(value: object) -> tuple[float, ...]:
    """The onset times in what the browser sent: finite seconds in order; `InputError` otherwise."""
    if not isinstance(value, dict) or not value:
        raise InputError("There are no onsets to use yet: press “Find onsets” or “Generate” first.")
    return check_onsets(value.get("onsets_s"))
