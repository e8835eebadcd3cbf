"""Rows of a table: CSV, JSON or JSONL, and the tables of public sets as they are published.

| set | form |
| --- | --- |
| VGGSound | CSV without a header: id, start, label, split |
| AudioSet | CSV with comments, then id, start, end, "labels" |
| Auto-ACD | CSV without a header: id, caption |
| AudioCaps | CSV with a header: audiocap_id, youtube_id, start_time, caption |
| WavCaps | JSON: {"data": [{"id", "caption", "duration", ...}]} |
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from stav2a.media.text_files import headed, read_text, rows_of

FILE = ("file", "path", "video", "audio", "filename", "file_name")
IDENTITY = ("youtube_id", "ytid", "video_id", "id")
SPLITS = ("train", "val", "test")
YOUTUBE = re.compile(r"[\w-]{11}(_\d+)?")


def read_rows(table: Path) -> list[dict]:
    """A dict a row, names of CSV columns in lower case; `ValueError` says in one sentence what the table lacks."""
    text, _ = read_text(table)
    if table.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        return _json_rows(table, text)
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    found = headed(text, {*FILE, *IDENTITY}.intersection)
    if found is not None:
        return [row for _, row in found]
    rows = [cells for _, cells in rows_of(text, ",")]
    if not rows:
        return []
    first = rows[0]
    if len(first) == 4:
        of_vggsound = first[3] in SPLITS
        names = ("youtube_id", "start_s", "label", "split") if of_vggsound else ("ytid", "start_s", "end_s", "labels")
    elif len(first) == 2 and YOUTUBE.fullmatch(first[0]):
        names = ("youtube_id", "caption")
    else:
        raise ValueError(f"{table} needs a header with a column `file` (or `youtube_id`) and one `caption`.")
    return [dict(zip(names, row, strict=False)) for row in rows]


def _json_rows(table: Path, text: str) -> list[dict]:
    """A list of objects, an object that holds one as `data`, or an object a line."""
    try:
        rows = json.loads(text)
        rows = rows.get("data", [rows]) if isinstance(rows, dict) else rows
    except json.JSONDecodeError:
        try:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        except json.JSONDecodeError as error:
            raise ValueError(f"{table} is no JSON: {error}.") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{table} must hold an object a line.")
    return rows
