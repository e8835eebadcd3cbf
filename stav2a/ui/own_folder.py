"""A results folder at any place: it has a marker file, and only entries with the names below are ever removed.

DIR/.stav2a-results             the marker; it contains the key that signs visits
DIR/<24 hex digits>/            a visit
    <16 hex digits>-<8>/        a run: start time in ns, then random digits
    <16>-clip-<16>/             variants of one part of a clip
    <16>-blind-<32>/            the sounds of a blind test
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from pathlib import Path

from stav2a.media.limits import InputError

MARKER = ".stav2a-results"
VISIT = re.compile(r"[0-9a-f]{24}", re.ASCII)
RUN = re.compile(r"[0-9a-f]{16}-([0-9a-f]{8}|clip-[0-9a-f]{16}|blind-[0-9a-f]{32})", re.ASCII)
KINDS = ("run", "clip", "blind")


def claim(root: Path) -> bytes:
    """Mark `root` as a results folder and return its key; `InputError` if it contains other files."""
    marker = root / MARKER
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not marker.exists():
            if any(root.iterdir()):
                raise InputError(f"{root} holds other things than results of this page; name a new or an empty folder.")
            write_whole(marker, secrets.token_hex(32))
            marker.chmod(0o600)
        key = bytes.fromhex(marker.read_text(encoding="ascii"))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"Results cannot be kept in {root}: {str(error.strerror).lower()}.") from error
    except ValueError:
        key = b""
    if len(key) != 32:
        raise InputError(f"Results cannot be kept in {root}: its marker file {MARKER} is damaged.")
    return key


def sweep(root: Path, keep_s: float, of_a_visit: int, in_all: int) -> None:
    """Remove results older than `keep_s`, and the oldest of a kind beyond `of_a_visit` or `in_all`."""
    visits = _folders(root, VISIT)
    kept: dict[str, list[Path]] = {kind: [] for kind in KINDS}
    for visit in visits:
        runs = _folders(visit, RUN)
        gone = {run for run in runs if time.time() - began(run) > keep_s}
        for kind in KINDS:
            # an unfinished run has no record yet and is not counted
            of_kind = [r for r in runs if kind_of(r) == kind and (kind != "run" or (r / "run.json").exists())]
            gone.update(of_kind[:-of_a_visit])
            kept[kind] += [run for run in of_kind if run not in gone]
        for run in gone:
            shutil.rmtree(run, ignore_errors=True)
    for of_kind in kept.values():
        for run in sorted(of_kind, key=began)[:-in_all]:
            shutil.rmtree(run, ignore_errors=True)
    for visit in visits:
        with contextlib.suppress(OSError):  # it still has runs, or files that are not ours
            visit.rmdir()


def kind_of(run: Path) -> str:
    kind = run.name[17:].partition("-")[0]
    return kind if kind in KINDS else "run"


def began(run: Path) -> float:
    """Time at which the folder of a run was created, in seconds since the epoch."""
    return int(run.name[:16], 16) / 1e9


def write_whole(path: Path, text: str) -> None:
    """Write a file atomically: it is complete or absent, even if the process is killed."""
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with open(hidden, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(hidden, path)
    finally:
        hidden.unlink(missing_ok=True)


def _folders(root: Path, name: re.Pattern) -> list[Path]:
    """Folders with such names, no links, sorted by name."""
    if not root.is_dir():
        return []
    found = (path for path in root.iterdir() if name.fullmatch(path.name))
    return sorted(path for path in found if path.is_dir() and not path.is_symlink())
