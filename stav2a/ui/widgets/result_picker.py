"""A list of results to tick, grouped by clip: an image of each clip and sound, named by the differences."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import gradio as gr

from stav2a.ui.compare.entries import MOST, Entry
from stav2a.ui.differences import differences
from stav2a.ui.widgets.player import file_data
from stav2a.ui.widgets.widget import widget

STEM = Path(__file__).with_suffix("")


def result_picker(**kwargs) -> gr.HTML:
    """Shows what `picker_value` returns; its event `submit` carries {"ids": [...]}, those that are ticked."""
    return widget(STEM, '<div class="rp"></div>', **kwargs)


def picker_value(entries: Sequence[Entry], chosen: Collection[str]) -> dict:
    """entries: oldest first. The value lists the newest first, both clips and sounds."""
    clips: dict[str, list[Entry]] = {}
    for entry in reversed(entries):
        clips.setdefault(entry.clip, []).append(entry)
    groups = []
    for own in clips.values():
        video = next((entry.video for entry in own if entry.video), None)
        words = differences([entry.settings for entry in own])
        name = next((entry.clip_name for entry in own if entry.clip_name), "")
        groups.append(
            {
                "name": name or ("clip" if video else "without a clip"),
                "duration_s": own[0].duration_s,
                "video": file_data(video) if video else None,
                "items": [
                    {
                        "id": entry.id,
                        "text": text,
                        "thumb": file_data(entry.thumb) if entry.thumb else None,
                        "chosen": entry.id in chosen,
                    }
                    for entry, text in zip(own, words, strict=True)
                ],
            }
        )
    return {"groups": groups, "most": MOST}


def ticked(data: object) -> list[str]:
    """Ids from the browser's untrusted data."""
    ids = data.get("ids") if isinstance(data, dict) else None
    return [each for each in ids if isinstance(each, str)][: MOST + 1] if isinstance(ids, list) else []
