"""Edited onsets: they belong to one part of one clip and are used only for runs of that part."""

from __future__ import annotations

from pathlib import Path

from stav2a.generation.settings import Settings
from stav2a.media.limits import InputError
from stav2a.ui.history import Run, clip_hash
from stav2a.ui.widgets.onset_editor import onsets_of

FOREIGN = "The onsets in the editor belong to another clip or part: press “Find onsets” for this one first."
NEAR_S = 0.05


def part_key(clip_key: str, start_s: float, length_s: float | None) -> str:
    """Key of a clip (the hash of its file) and its used part."""
    return f"{clip_key} {start_s:g} {'' if length_s is None else f'{length_s:g}'}".strip()


def key_of(run: Run) -> str:
    return part_key(run.clip_key, run.start_s, run.settings.get("length_s"))


def edited(editor: object, key: str) -> tuple[float, ...] | None:
    """The onsets in the editor if they belong to `key` and the user has changed them, else None."""
    if not isinstance(editor, dict) or editor.get("clip") != key:
        return None
    onsets_s = onsets_of(editor)
    predicted = editor.get("predicted_s")
    same = isinstance(predicted, list) and sorted(onsets_s) == sorted(set(predicted))
    return None if same else onsets_s


def required(editor: object, key: str) -> tuple[float, ...]:
    """The onsets in the editor; `InputError` if there are none or they belong to another clip or part."""
    onsets_s = onsets_of(editor)
    if editor.get("clip") != key:
        raise InputError(FOREIGN)
    return onsets_s


def still_heard(run: Run) -> str:
    """A sentence about deleted onsets that can still be heard; empty if there are none."""
    deleted = [t for t in run.predicted_onsets_s if not any(abs(t - kept) <= NEAR_S for kept in run.onsets_s)]
    heard = [t for t in deleted if any(abs(t - sound) <= NEAR_S for sound in run.takes[0].onsets_s)]
    if not heard:
        return ""
    times = ", ".join(f"{t:.2f} s" for t in heard[:4]) + (" …" if len(heard) > 4 else "")
    return (
        f" A sound is still heard at {times}, where you deleted an onset, because the model also follows the picture. "
        "With a higher “Timing strength” (under “Timing and picture”) it follows the onsets more."
    )


def settings_key(clip: Path | None, settings: Settings) -> str:
    """`part_key` for a clip's file, or for no clip."""
    return part_key(clip_hash(clip), settings.start_s, settings.length_s)
