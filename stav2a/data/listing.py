"""Which clips are to be prepared: a folder of videos, or a table (CSV, JSONL) of videos and captions.

Tables of public sets work as they are published: VGGSound (`id, start, label, split`, no header), AudioCaps
(`youtube_id, start_time, caption`), AudioSet (comments, then `id, start, end, "labels"`). Videos are looked for
under the names that downloaders give them: ID_000030.mp4, ID_30.mp4, ID_30000.mp4, ID.mp4.
"""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from stav2a.media.clip_files import SUFFIXES

FILE = ("file", "path", "video", "filename")
IDENTITY = ("youtube_id", "ytid", "video_id", "id")
CAPTION = ("caption", "text", "description", "label", "labels", "positive_labels")
START = ("start_s", "start_time", "start_seconds", "start")
SPLITS = ("train", "val", "test")
CUT_S = 10.0  # of a video that the public tables mean


@dataclass(frozen=True)
class Source:
    """A video with its caption; `path` is as it was found, `name` is told from the list's folder."""

    path: str
    name: str
    caption: str = ""
    split: str = ""
    start_s: float = 0.0
    duration_s: float | None = None  # None: to the end


def list_sources(given: str | Path, videos: str | Path | None = None) -> list[Source]:
    """Every video of a folder (a caption lies beside it as NAME.txt), or every row of a table, in a fixed order."""
    given = Path(given)
    if given.is_dir():
        found = sorted(p for p in given.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not found:
            raise ValueError(f"There are no video files in {given}.")
        return [Source(str(p), p.relative_to(given).as_posix(), _beside(p)) for p in found]
    if not given.is_file():
        raise ValueError(f"There is no folder or table {given}.")
    folder = Path(videos) if videos else given.parent
    rows = read_rows(given)
    if not rows:
        raise ValueError(f"{given} lists no videos.")
    return [_source(row, folder, given, number) for number, row in enumerate(rows, 1)]


def with_splits(sources: list[Source], validation: float) -> list[Source]:
    """Sources without a split get one: about `validation` of them are `val`, chosen by name, at least one of two.

    All pieces of a video share its split, and rows of one file do too.
    """
    free = sorted({s.name for s in sources if not s.split}, key=lambda name: hashlib.blake2b(name.encode()).digest())
    count = round(validation * len(free))
    if validation and not count and len(free) > 1:
        count = 1
    chosen = set(free[:count])
    return [s if s.split else replace(s, split="val" if s.name in chosen else "train") for s in sources]


def fingerprint(sources: list) -> str:
    """Of the list: names, captions, stretches and splits, not of where it lies."""
    rows = [[s.name, s.caption, s.split, s.start_s, s.duration_s] for s in sources]
    return hashlib.blake2b(json.dumps(rows).encode(), digest_size=12).hexdigest()


def _beside(video: Path) -> str:
    note = video.with_suffix(".txt")
    return note.read_text(encoding="utf-8").strip() if note.is_file() else ""


def read_rows(table: Path) -> list[dict]:
    """Rows of a CSV (names lower-case; the public tables without a header get theirs), JSON or JSONL table."""
    text = table.read_text(encoding="utf-8-sig")
    if table.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        try:
            rows = (
                json.loads(text)
                if text.lstrip().startswith("[")
                else [*map(json.loads, filter(str.strip, text.splitlines()))]
            )
        except json.JSONDecodeError as error:
            raise ValueError(f"{table} is no JSON: {error}.") from None
        if not all(isinstance(row, dict) for row in rows):
            raise ValueError(f"{table} must hold an object a line.")
        return rows
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        return []
    first = next(csv.reader(lines[:1], skipinitialspace=True))
    if {name.strip().lower() for name in first} & {*FILE, *IDENTITY}:
        return [
            {k.strip().lower(): v for k, v in row.items() if k} for row in csv.DictReader(lines, skipinitialspace=True)
        ]
    if len(first) == 4:  # the two public tables that come without a header
        of_vggsound = first[3].strip() in SPLITS
        names = ("youtube_id", "start_s", "label", "split") if of_vggsound else ("ytid", "start_s", "end_s", "labels")
        return [dict(zip(names, row, strict=False)) for row in csv.reader(lines, skipinitialspace=True)]
    raise ValueError(f"{table} needs a header with a column `file` (or `youtube_id`) and one `caption`.")


def _source(row: dict, folder: Path, table: Path, number: int) -> Source:
    def value(names: tuple[str, ...]) -> str:
        return next((str(row[name]).strip() for name in names if row.get(name) not in (None, "")), "")

    try:
        start = float(value(START) or 0)
        duration = float(value(("duration_s", "duration"))) if value(("duration_s", "duration")) else None
    except ValueError:
        raise ValueError(f"{table}, row {number}: the start or the duration is no number.") from None
    split = value(("split",)).lower()
    if split and split not in SPLITS:
        raise ValueError(f"{table}, row {number}: the split is {split!r}; it must be one of {', '.join(SPLITS)}.")
    name = value(FILE)
    if name:
        return Source(str(folder / name), name, value(CAPTION), split, start, duration)
    identity = value(IDENTITY)
    if not identity:
        raise ValueError(f"{table}, row {number} names no video: it needs `file` or `youtube_id`.")
    at = int(start)
    stems = (f"{identity}_{at:06d}", f"{identity}_{at}", f"{identity}_{at * 1000}", identity)
    for stem in stems:
        for suffix in (".mp4", ".mkv", ".webm"):
            if (folder / (stem + suffix)).is_file():
                whole = stem == identity  # the video itself, not the stretch cut out of it
                return Source(str(folder / (stem + suffix)), stem + suffix, value(CAPTION), split,
                              start if whole else 0.0, CUT_S if whole else None)  # fmt: skip
    return Source(str(folder / f"{stems[0]}.mp4"), f"{stems[0]}.mp4", value(CAPTION), split)
