"""Kinds of events in real clips: who made the sound, and whether its events can be seen.

`real_clip_kinds.csv` names the kind of each file of the clips that this project measures on. A folder of other clips
says it itself, in a column `kind` of its `manifest.csv`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("real_clip_kinds.csv")
SINGLE_EVENTS = "impact/discrete"  # the manifests' category of clips whose events are single and can be seen


@dataclass(frozen=True)
class Label:
    """kind: empty where none is given; split: of the manifest, empty where it has none."""

    kind: str
    visible: bool
    split: str = ""


def labels_of(folder: str | Path) -> dict[str, Label]:
    """{file: Label} of a folder's `manifest.csv` (columns file, category, kind, split); none without a manifest."""
    manifest = Path(folder) / "manifest.csv"
    if not manifest.is_file():
        return {}
    with manifest.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row.get("file")]
    return {
        row["file"]: Label(
            row.get("kind") or known_kinds().get(row["file"], ""),
            row.get("category") == SINGLE_EVENTS,
            row.get("split") or "",
        )
        for row in rows
    }


@cache
def known_kinds() -> dict[str, str]:
    """{file: kind} of the table that comes with the code."""
    with TABLE.open(encoding="utf-8", newline="") as lines:
        return {row["file"]: row["kind"] for row in csv.DictReader(lines)}
