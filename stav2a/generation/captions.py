"""Captions of clips from a table with the columns clip and caption; nothing in it is passed over in silence."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from stav2a.media.clip_files import shown
from stav2a.media.text_files import read_table


def captions_of(table: Path | None, clips: Sequence[Path]) -> tuple[dict[Path, str], list[str]]:
    """Caption by clip, and sentences about rows and clips that have no counterpart.

    A row names a clip by its path as given, or by its file name.
    """
    if table is None:
        return {}, []
    rows, encoding = read_table(table, ("clip", "caption"))
    notes = (
        [] if encoding.startswith(("utf-8", "utf-16")) else [f"{shown(table)} is not UTF-8; it is read as {encoding}."]
    )
    known: dict[str, list[Path]] = {}
    for clip in clips:
        for name in {_name(str(clip)), _name(clip.name)}:
            known.setdefault(name, []).append(clip)
    found: dict[Path, str] = {}
    for line, row in rows:
        name, caption = _name(row["clip"]), " ".join(row.get("caption", "").split())
        mine = known.get(name, [])
        if not mine:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; is {near[0]} meant?" if near else "."
            notes.append(f"{shown(table)}, line {line}: there is no clip {_safe(name)}{hint}")
        for clip in mine:
            if clip in found and found[clip] != caption:
                notes.append(f"{shown(table)}, line {line}: {shown(clip)} has a caption already; this one counts.")
            found[clip] = caption
    notes += [f"{shown(clip)} has no caption in {shown(table)}." for clip in clips if not found.get(clip)]
    return found, notes


def _name(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())


def _safe(name: str) -> str:
    return shown(Path(name))
