"""The onset editor: a timeline under the video on which onsets are added, moved and deleted.

The browser side is in `onset_editor.html`, `.css` and `.js` beside this file. What it sends back could be forged, so
`onsets_of` checks all of it; the settings check the times again.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Sequence
from pathlib import Path

import gradio as gr
import numpy as np

from stav2a.generation.figure import NARROW_PX, WIDE_PX, time_extent
from stav2a.generation.settings import check_onsets
from stav2a.media.limits import InputError
from stav2a.media.markers import KINDS, MAX_BYTES, bytes_of, markers_in, of_onsets
from stav2a.ui.widgets.widget import widget

STEM = Path(__file__).with_suffix("")


def onset_editor(**kwargs) -> gr.HTML:
    """The component; its value is what `editor_value` returns, and its event `change` follows every edit."""
    return widget(STEM, server_functions=[onsets_from_file, onsets_to_file], **kwargs)


def editor_value(
    duration_s: float,
    curve: np.ndarray | Sequence[float],
    predicted_s: Sequence[float],
    onsets_s: Sequence[float] | None = None,
    latent_frame_s: float = 0.04,
    start_s: float = 0.0,
    clip: str = "",
) -> dict:
    """What the editor shows. `start_s` is where the clip begins within the uploaded video.

    clip: key of the clip and its part; edits of one `clip` can be undone across its runs. Empty: no sharing.
    """
    used = predicted_s if onsets_s is None else onsets_s
    return {
        "clip": clip,
        "extents": {"wide": time_extent(WIDE_PX), "narrow": time_extent(NARROW_PX)},
        "duration_s": round(float(duration_s), 4),
        "latent_frame_s": float(latent_frame_s),
        "start_s": float(start_s),
        "curve": [round(float(p), 3) for p in curve],
        "predicted_s": [round(float(t), 4) for t in predicted_s],
        "onsets_s": [round(float(t), 4) for t in used],
        "revision": secrets.token_hex(6),  # distinguishes a new clip from an echo of the user's own edit
    }


def onsets_of(value: object) -> tuple[float, ...]:
    """The onset times from the browser's data: finite seconds in order; `InputError` otherwise."""
    if not isinstance(value, dict) or not value:
        raise InputError("There are no onsets to use yet: press “Find onsets” or “Generate” first.")
    return check_onsets(value.get("onsets_s"))


def onsets_from_file(given: object) -> dict:
    """Onsets in a marker file that the user picked: {"onsets_s"} or {"error"}.

    given: {"name", "data" (its bytes in base64), "duration_s"}, from the browser.
    """
    try:
        name, data, duration_s = _fields(given, "name", "data", "duration_s")
        if not (isinstance(name, str) and isinstance(data, str) and isinstance(duration_s, int | float)):
            raise InputError("The marker file did not arrive.")
        if len(data) > MAX_BYTES * 4 / 3 + 4:
            raise InputError(f"The marker file is larger than {MAX_BYTES // 1_000_000} MB.")
        try:
            held = base64.b64decode(data, validate=True)
        except binascii.Error:
            raise InputError("The marker file did not arrive whole.") from None
        times = [marker.time_s for marker in markers_in(held, name)]
        return {"onsets_s": list(check_onsets(times, float(duration_s)))}
    except InputError as error:
        return {"error": str(error)}


def onsets_to_file(given: object) -> dict:
    """Onsets as a file of one of `KINDS`: {"name", "data" in base64} or {"error"}. given: {"kind", "onsets_s"}."""
    try:
        kind, onsets_s = _fields(given, "kind", "onsets_s")
        if not isinstance(kind, str) or kind not in KINDS:
            raise InputError(f"Onsets can be saved as {', '.join(KINDS)}.")
        made = bytes_of(of_onsets(check_onsets(onsets_s)), kind)
        return {"name": f"onsets{KINDS[kind].suffixes[0]}", "data": base64.b64encode(made).decode()}
    except InputError as error:
        return {"error": str(error)}


def _fields(given: object, *names: str) -> list:
    """Values by name from the browser's data; None for missing ones."""
    return [given.get(name) if isinstance(given, dict) else None for name in names]
