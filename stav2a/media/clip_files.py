"""Input clips of the command line: find them, and make safe names for their results."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from stav2a.media.limits import InputError, refuse_address

SUFFIXES = {f".{name}" for name in (
    "mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "ts", "mts", "m2ts",
    "ogv", "wmv", "asf", "flv", "mxf", "3gp", "3g2", "gif",
)}  # fmt: skip


OF_SYSTEMS = {"__macosx", "$recycle.bin", "system volume information", "@eadir", "lost+found", "#recycle"}


def collect(given: list[str], out_dir: Path | None = None) -> list[Path]:
    """The given files and the videos in the given folders, sorted by name, without anything in `out_dir`."""
    clips: list[Path] = []
    results = None if out_dir is None else out_dir.resolve()
    for name in given:
        refuse_address(name)
        path = Path(name)
        if not path.is_dir():
            clips.append(path)
            continue
        found = files_in(path, SUFFIXES)
        found = [p for p in found if results is None or results not in p.resolve().parents]
        if not found:
            raise InputError(f"There are no video files in {shown(path)}.")
        clips += found
    return list(dict.fromkeys(clips))


def files_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Files with these suffixes in a folder and its subfolders, sorted by name, without hidden and system files.

    macOS puts a `._NAME.mov` beside every file that it copies to a foreign disk, and network drives keep thumbnails.
    """
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _hidden(name)]
        found += [Path(place, name) for name in names if not _hidden(name) and Path(name).suffix.lower() in suffixes]
    return sorted(path for path in found if path.is_file())


def _hidden(name: str) -> bool:
    return name.startswith(".") or name.casefold() in OF_SYSTEMS


def folder_names(clips: list[Path]) -> dict[Path, str]:
    """A folder name for each clip: its own name, with a hash of its path where two names would be equal.

    Depends only on the whole list, so that several processes and later runs agree.
    """
    stems = {clip: safe_stem(clip) for clip in clips}
    counts = Counter(stem.casefold() for stem in stems.values())

    def mark(clip: Path) -> str:
        return hashlib.sha256(str(clip.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:8]

    return {c: stem if counts[stem.casefold()] == 1 else f"{stem}-{mark(c)}" for c, stem in stems.items()}


def safe_stem(path: Path) -> str:
    """The clip's name as the beginning of file names: no control or reserved characters, at most 80 bytes."""
    stem = path.stem.encode("utf-8", "replace").decode()
    stem = "".join(c for c in stem if c.isprintable())
    stem = re.sub(r'[\\/:*?"<>|$`\']+', "_", stem).strip(". _-")
    return stem.encode()[:80].decode(errors="ignore") or "clip"


def shown(path: Path) -> str:
    """A path that is safe to print: control characters are replaced."""
    return "".join(c if c.isprintable() else "?" for c in str(path))


def number(text: str) -> int | float:
    """An int if the text is a whole number, else a float, so that settings can tell 3 from 2.5."""
    try:
        return int(text)
    except ValueError:
        return float(text)
