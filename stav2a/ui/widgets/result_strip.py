"""The last results of the current clip: an image, the differences and the actions for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from stav2a.ui.differences import differences
from stav2a.ui.history import Run
from stav2a.ui.widgets.player import file_data
from stav2a.ui.widgets.widget import widget

STEM = Path(__file__).with_suffix("")
MOST = 8
ACTIONS = ("hear", "compare", "restore")


def result_strip(**kwargs) -> gr.HTML:
    """Shows what `strip_value` returns; its event `submit` carries {"id", "action"}, one of `ACTIONS`."""
    return widget(STEM, '<div class="rs" role="group" aria-label="Results of this clip"></div>', **kwargs)


def strip_value(runs: Sequence[Run], shown: Run | None) -> list[dict] | None:
    """The runs of the clip of `shown`, newest first; None if there is only one."""
    own = [run for run in runs if shown is not None and run.clip_key == shown.clip_key][-MOST:]
    if len(own) < 2:
        return None
    words = differences([run.settings for run in own])
    items = [
        {
            "id": run.id,
            "text": text,
            "thumb": file_data(run.thumb) if run.thumb else None,
            "shown": shown is not None and run.id == shown.id,
        }
        for run, text in zip(own, words, strict=True)
    ]
    return items[::-1]


def asked(data: object, runs: Sequence[Run]) -> tuple[Run, str] | None:
    """(run, action) from the browser's untrusted data; None if it names no run of the visit."""
    if not isinstance(data, dict) or data.get("action") not in ACTIONS:
        return None
    found = next((run for run in runs if run.id == data.get("id")), None)
    return None if found is None else (found, data["action"])
