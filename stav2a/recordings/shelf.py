"""The shelf: short real recordings under open licences, with what is needed to find, place and credit them.

A folder holds `index.csv` (one row a recording), `captions.safetensors` (MiniLM embeddings of the distinct captions, in
the order in which the index names them first, and of what else the classes are called), the recordings as 16 kHz mono
Opus, and `CREDITS.md`. The one in `assets/shelf` is made by `python -m stav2a data shelf BANK`.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from stav2a.assets import ASSETS
from stav2a.recordings.names import names_of

SAMPLE_RATE = 16_000
SHELF = ASSETS / "shelf"
ROLL_S = 0.2
KINDS = ("oneshot", "multi", "texture")


@dataclass(frozen=True)
class Recording:
    """One recording. Times in seconds from its beginning; `loudness_lufs` is integrated (BS.1770).

    kind: `oneshot` (one attack), `multi` (several attacks or syllables) or `texture` (continuous, can be looped).
    attacks_s: where the onset detector hears an attack, `HEARD_AFTER_S` earlier. group: recordings of one instrument,
    session or series share it.
    """

    path: str
    cls: str
    kind: str
    caption: str
    material: str
    duration_s: float
    attacks_s: tuple[float, ...]
    loudness_lufs: float
    licence: str
    author: str
    source: str
    original: str
    group: str

    def row(self) -> dict[str, str]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            **values,
            "duration_s": f"{self.duration_s:.3f}",
            "attacks_s": ";".join(f"{time:.3f}" for time in self.attacks_s),
            "loudness_lufs": f"{self.loudness_lufs:.1f}",
        }

    @property
    def is_roll(self) -> bool:
        """Whether its attacks follow so quickly that no single one can be cut out: a drum roll, a burst of knocks."""
        return len(self.attacks_s) > 2 and float(np.median(np.diff(self.attacks_s))) < ROLL_S

    def credit(self) -> str:
        """Who made it, where it is from and under which licence, on one line."""
        return f"{self.original or self.path} by {self.author or 'an author not named'}, {self.source}, {self.licence}"

    @classmethod
    def from_row(cls, row: dict[str, str]) -> Recording:
        values: dict[str, Any] = {
            **row,
            "duration_s": float(row["duration_s"]),
            "attacks_s": tuple(float(time) for time in row["attacks_s"].split(";") if time),
            "loudness_lufs": float(row["loudness_lufs"]),
        }
        return cls(**values)


class Shelf:
    """The recordings of a folder; audio is read when asked for.

    embeddings: float32 [N, 384], unit length, of each recording's caption. names: {sentence: class} of what the classes
    are called besides; `name_embeddings` float32 [M, 384] of these.
    """

    def __init__(self, folder: str | Path = SHELF):
        from safetensors.numpy import load_file

        self.folder = Path(folder)
        index = self.folder / "index.csv"
        if not index.is_file():
            raise ValueError(f"There is no shelf of recordings at {self.folder}: index.csv is missing.")
        with index.open(newline="", encoding="utf-8") as file:
            self.recordings = [Recording.from_row(row) for row in csv.DictReader(file)]
        stored = load_file(self.folder / "captions.safetensors")
        captions, names = stored["embeddings"].astype(np.float32), stored["names"].astype(np.float32)
        order = list(dict.fromkeys(recording.caption for recording in self.recordings))
        if len(order) != len(captions):
            raise ValueError(f"{self.folder} holds {len(order)} captions and {len(captions)} embeddings of captions.")
        place = {caption: k for k, caption in enumerate(order)}
        self.embeddings = captions[[place[recording.caption] for recording in self.recordings]]
        self.embeddings /= np.linalg.norm(self.embeddings, axis=1, keepdims=True)
        self._by_class: dict[str, list[int]] = defaultdict(list)
        for k, recording in enumerate(self.recordings):
            self._by_class[recording.cls].append(k)
        self._load = lru_cache(maxsize=256)(self._read)

        self.names = names_of(self._by_class)
        if len(self.names) != len(names):
            raise ValueError(f"{self.folder} holds embeddings of {len(names)} names; there are {len(self.names)}.")
        self.name_embeddings = names / np.linalg.norm(names, axis=1, keepdims=True)

    @property
    def classes(self) -> list[str]:
        return sorted(self._by_class)

    def by_class(self, name: str) -> list[int]:
        """Places of a class's recordings in the index; none for a class that the shelf does not hold."""
        return list(self._by_class.get(name, ()))

    def load(self, recording: Recording) -> np.ndarray:
        """Waveform: float32 [S] at 16 kHz, read-only because it is kept."""
        return self._load(recording.path)

    def __len__(self) -> int:
        return len(self.recordings)

    def _read(self, path: str) -> np.ndarray:
        import soundfile

        waveform, rate = soundfile.read(self.folder / path, dtype="float32")
        if rate != SAMPLE_RATE or waveform.ndim != 1:
            raise ValueError(f"{path} is not {SAMPLE_RATE} Hz mono; the shelf's recordings are.")
        waveform.setflags(write=False)
        return waveform


@lru_cache(maxsize=1)
def shipped() -> Shelf:
    """The shelf that comes with the program."""
    return Shelf()
