"""List the sources of a dataset: a folder of videos or sounds, or a table (`tables.py`) of them with captions.

Files of a table are searched beside it or in a given folder, by the names of common downloaders: ID_000030, ID_30,
ID_30000 or ID with the suffix of a video or sound.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

from stav2a.media.clip_files import SUFFIXES, files_in
from stav2a.media.limits import InputError, refuse_address
from stav2a.media.sound_files import SOUND_SUFFIXES
from stav2a.media.text_files import read_text

from .tables import FILE, IDENTITY, SPLITS, read_rows

CAPTION = ("caption", "text", "description", "label", "labels", "positive_labels")
START = ("start_s", "start_time", "start_seconds", "start")
DURATION = ("duration_s", "duration")
DOWNLOADED = (".mp4", ".mkv", ".webm", ".wav", ".flac", ".mp3", ".ogg", ".m4a")
CUT_S = 10.0  # of a video that the public tables mean


@dataclass(frozen=True)
class MediaSource:
    """A video or sound file with its caption.

    path: of the file   name: its path relative to the list's folder
    trouble: why it cannot be used, if that is known from the list or the caption file
    """

    path: str
    name: str
    caption: str = ""
    split: str = ""
    start_s: float = 0.0
    duration_s: float | None = None  # None: to the end
    trouble: str = ""


def list_sources(
    given: str | Path, videos: str | Path | None = None, caption_column: str | None = None
) -> list[MediaSource]:
    """Every video and sound of a folder (a caption lies beside it as NAME.txt), or every row of a table, in order.

    caption_column: the table's column that holds the captions; else the first of `CAPTION` that a row has.
    """
    refuse_address(given)
    given = Path(given)
    if given.is_dir():
        wanted = {*SUFFIXES, *SOUND_SUFFIXES}
        found = files_in(given, wanted)
        if not found:
            raise ValueError(f"There are no video or sound files in {given}.")
        return [_of_file(path, given) for path in found]
    if not given.is_file():
        raise ValueError(f"There is no folder or table {given}.")
    folder = Path(videos) if videos else given.parent
    rows = read_rows(given)
    if not rows:
        raise ValueError(f"{given} lists no videos.")
    columns = CAPTION
    if caption_column:
        columns, known = (caption_column.strip().lower(),), sorted({str(name).lower() for row in rows for name in row})
        if columns[0] not in known:
            near = difflib.get_close_matches(columns[0], known, 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}."
            raise ValueError(f"{given} has no column {caption_column}; {hint}")
    sources = [_of_row(row, folder, number, columns) for number, row in enumerate(rows, 1)]
    if all(source.trouble for source in sources):
        raise ValueError(f"{given}: {sources[0].trouble}")
    return sources


def fingerprint(sources: list) -> str:
    """A digest of the list: names, captions, times and splits, but not its location."""
    rows = [[s.name, s.caption, s.split, s.start_s, s.duration_s] for s in sources]
    return hashlib.blake2b(json.dumps(rows).encode(), digest_size=12).hexdigest()


def _of_file(path: Path, folder: Path) -> MediaSource:
    name, note = path.relative_to(folder).as_posix(), path.with_suffix(".txt")
    try:
        caption = read_text(note)[0].strip() if note.is_file() else ""
    except InputError as error:
        return MediaSource(str(path), name, trouble=f"Its caption cannot be used: {error}")
    return MediaSource(str(path), name, caption)


def _of_row(row: dict, folder: Path, number: int, captions: tuple[str, ...]) -> MediaSource:
    def value(names: tuple[str, ...]) -> str:
        found = next((row[name] for name in names if row.get(name) not in (None, "", [])), "")
        return str(found[0] if isinstance(found, list) else found).strip()

    candidates, start = _candidates(value(FILE), value(IDENTITY), value(START)), 0.0
    name = value(FILE) or value(IDENTITY) or f"row {number}"
    if not candidates:
        return MediaSource("", name, trouble=f"row {number} names no file: it needs `file` or `youtube_id`.")
    try:
        start = float(value(START) or 0)
        duration = float(value(DURATION)) if value(DURATION) else None
    except ValueError:
        start = math.nan
    if not (math.isfinite(start) and start >= 0 and (duration is None or math.isfinite(duration))):
        return MediaSource("", name, trouble=f"row {number}: the start or the duration is no number.")
    split = value(("split",)).lower()
    if split and split not in SPLITS:
        return MediaSource(
            "", name, trouble=f"row {number}: the split is {split!r}; it must be one of {', '.join(SPLITS)}."
        )
    chosen = next((each for each in candidates if (folder / each).is_file()), candidates[0])
    if value(FILE) and chosen in (value(FILE), Path(value(FILE)).name):
        return MediaSource(str(folder / chosen), chosen, value(captions), split, start, duration)
    cut = Path(chosen).stem != value(IDENTITY) or not value(START)  # the stretch itself, not the video it was cut from
    if cut:
        return MediaSource(str(folder / chosen), chosen, value(captions), split)
    return MediaSource(str(folder / chosen), chosen, value(captions), split, start, CUT_S)


def _candidates(file: str, identity: str, start: str) -> list[str]:
    """Possible file names of a row's clip, the most likely first."""
    names = [file, Path(file).name] if file else []
    if identity and Path(identity).suffix.lower() in DOWNLOADED:  # some lists name the file itself
        names.append(identity)
        identity = Path(identity).stem
    stems = [identity] if identity else []
    if identity and start.replace(".", "", 1).isdigit():
        at = int(float(start))
        stems = [f"{identity}_{at:06d}", f"{identity}_{at}", f"{identity}_{at * 1000}", identity]
    return list(dict.fromkeys(names + [stem + suffix for stem in stems for suffix in DOWNLOADED]))
