"""A labelled bank of short real recordings: one manifest, audio loaded on demand.

The folder holds `manifest.csv` (columns: path, class, kind, caption, material, duration_s, onsets, source,
licence, split, author, original, group) and 16 kHz mono files. `kind` is `oneshot` (one attack within 20 ms
of the beginning), `multi` (several attacks or syllables) or `texture` (continuous, can be cut and looped).
"""

from __future__ import annotations

import csv
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import soundfile

SAMPLE_RATE = 16_000
SPLITS = ("train", "val", "test")


def is_open(licence: str) -> bool:
    """Whether weights trained on such a recording can be given away freely: CC0, CC BY, MIT, public."""
    return licence in ("CC0", "MIT", "public domain") or licence.startswith(("CC0 ", "CC BY "))


@dataclass(frozen=True)
class Entry:
    """One recording; times in seconds from its beginning."""

    path: str
    cls: str
    kind: str
    caption: str
    material: str
    duration_s: float
    onsets_s: tuple[float, ...]
    source: str
    licence: str
    split: str
    author: str
    original: str
    group: str

    @classmethod
    def from_row(cls, row: dict[str, str]) -> Entry:
        onsets_s = tuple(float(value) for value in row["onsets"].split(";") if value)
        read = {"cls": row["class"], "duration_s": float(row["duration_s"]), "onsets_s": onsets_s}
        return cls(**{field.name: row[field.name] for field in fields(cls) if field.name not in read}, **read)


class SoundBank:
    """The recordings of one split.

    `licences`: None takes open licences only (`is_open`) for the training split, so that weights stay free to
    give away, and every licence for `val` and `test`, which train nothing; "open" and "all" force one of the
    two; a set of licence names or a predicate choose freely.
    """

    def __init__(
        self,
        folder: str | Path,
        split: str = "train",
        licences: str | Iterable[str] | Callable[[str], bool] | None = None,
        cache: int = 2048,
    ):
        self.folder = Path(folder)
        manifest = self.folder / "manifest.csv"
        if not manifest.is_file():
            raise ValueError(f"There is no sound bank at {self.folder}: manifest.csv is missing.")
        if split not in (*SPLITS, "all"):
            raise ValueError(f"The split is {split!r}; a sound bank has {', '.join(SPLITS)} and all.")
        self.split = split
        allowed = _licence_filter(licences, split)
        with manifest.open(newline="", encoding="utf-8") as file:
            rows = [Entry.from_row(row) for row in csv.DictReader(file)]
        self.entries = [e for e in rows if split in ("all", e.split) and allowed(e.licence)]
        self._by_class: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            self._by_class[entry.cls].append(entry)
        self._cache: OrderedDict[str, np.ndarray] = OrderedDict()
        self._cache_size = cache

    @property
    def classes(self) -> list[str]:
        return sorted(self._by_class)

    def by_class(self, name: str, kind: str | None = None) -> list[Entry]:
        """Entries of a class (of one kind if given); an empty list for a class the split does not have."""
        entries = self._by_class.get(name, [])
        return [e for e in entries if e.kind == kind] if kind else list(entries)

    def load(self, entry: Entry) -> np.ndarray:
        """Waveform: float32 [S] at 16 kHz, read-only because it is shared through the cache."""
        waveform = self._cache.get(entry.path)
        if waveform is None:
            waveform, rate = soundfile.read(self.folder / entry.path, dtype="float32", always_2d=True)
            waveform = waveform.mean(axis=1)
            if rate != SAMPLE_RATE:
                raise ValueError(f"{entry.path} has {rate} Hz; the sound bank's files have {SAMPLE_RATE} Hz.")
            waveform.setflags(write=False)
            self._cache[entry.path] = waveform
            if len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
        else:
            self._cache.move_to_end(entry.path)
        return waveform

    def __len__(self) -> int:
        return len(self.entries)


def _licence_filter(licences, split: str) -> Callable[[str], bool]:
    if licences is None:
        licences = "open" if split in ("train", "all") else "all"
    if licences == "open":
        return is_open
    if licences == "all":
        return lambda licence: True
    if callable(licences):
        return licences
    chosen = {licences} if isinstance(licences, str) else set(licences)
    return chosen.__contains__
