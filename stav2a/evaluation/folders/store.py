"""Stored results of pairs, so that an interrupted evaluation continues."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from stav2a.evaluation.folders.pairs import Pair
from stav2a.metrics.flow import read_flow

RECORD_VERSION = 3
APART = ("arrays", "series")  # fields that are arrays and stand beside the JSON of the others


def identity(pair: Pair, settings: dict) -> str:
    """Changes when a file, the caption, the settings or the form of the records change."""
    files = [stamp(path) for path in (pair.reference, pair.generated, pair.video) if path]
    return digest([RECORD_VERSION, settings, files, pair.caption, pair.cls])


def stored_flow(video: Path, cache: str) -> tuple[np.ndarray, float]:
    """Flow magnitude and fps of a video, computed once: it takes longer than everything else together."""
    store = Path(cache) / "flow" / f"{digest([stamp(video)])}.npz" if cache else None
    if store and store.is_file():
        with np.load(store) as data:
            return data["magnitude"], float(data["fps"])
    magnitude, fps = read_flow(video)
    if store:
        save(store, magnitude=magnitude, fps=fps)
    return magnitude, fps


def write_record(store: Path, record) -> None:
    fields = {k: v for k, v in asdict(record).items() if k not in APART}
    arrays = {f"{kind}/{name}": array for kind in APART for name, array in getattr(record, kind).items()}
    save(store, record=np.array(json.dumps(fields)), **arrays)


def read_record(store: Path, kind: type):
    """The stored record of the class `kind`, or None where there is none that can be used."""
    try:
        with np.load(store) as data:
            arrays: dict[str, dict] = {name: {} for name in APART}
            for name in data.files:
                if name != "record":
                    kind_of, _, key = name.partition("/")
                    arrays[kind_of][key] = data[name]
            return kind(**json.loads(str(data["record"])), **arrays)
    except (OSError, ValueError, KeyError, TypeError, BadZipFile):  # cut off or of another version: computed again
        return None


def save(store: Path, **arrays) -> None:
    store.parent.mkdir(parents=True, exist_ok=True)
    part = store.with_suffix(".part.npz")
    np.savez(part, **arrays)
    part.replace(store)  # appears whole or not at all


def stamp(path: Path) -> list:
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]


def digest(value) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=12).hexdigest()
