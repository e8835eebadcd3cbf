"""How often the built-in describer names what sounds in real clips, and how often it is right.

What may be said of a clip stands in `real_clip_sounds.csv`, written by hand from the captions of the manifests: sound
classes, `class:word` where the caption must hold the word as well (`machine_hum:sewing`), or a word alone for what no
class holds (`cello`); several of either, with semicolons between them. A suggestion is right if one of them fits.
What is seen and makes no sound, such as a cat that watches a metronome, is wrong.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scipy.stats import binomtest

from stav2a.condition.captions import caption_classes
from stav2a.condition.image_features import Suggestion
from stav2a.evaluation.models.kinds import labels_of
from stav2a.generation.describe import suggestions
from stav2a.media.frames import read_for_model

TABLE = Path(__file__).with_name("real_clip_sounds.csv")


@dataclass(frozen=True)
class Naming:
    """What was said of one clip; `sounds` may be said."""

    name: str
    kind: str
    sounds: str
    said: tuple[Suggestion, ...]

    @property
    def is_right(self) -> bool:
        """Whether the first thing that was said fits."""
        return bool(self.said) and fits(self.said[0], self.sounds)


@cache
def known_sounds() -> dict[str, str]:
    """{file: what may be said of it} of the table that comes with the code."""
    with TABLE.open(encoding="utf-8", newline="") as lines:
        return {row["file"]: row["sounds"] for row in csv.DictReader(lines)}


def fits(suggestion: Suggestion, sounds: str) -> bool:
    """Whether one of the `sounds` ("gunshot;wild_animal:lion|big cat;cello") is what was said."""
    for sound in filter(None, sounds.split(";")):
        cls, _, words = sound.partition(":")
        if suggestion.cls == cls:
            if not words or any(word in suggestion.caption for word in words.split("|")):
                return True
        elif not suggestion.cls and cls in suggestion.caption:
            return True
    return False


def namings(
    said_by: Callable[[Path], list[Suggestion]] | None, folder: str | Path, split: str | None = None
) -> Iterator[Naming]:
    """The clips of a folder (of one split of its `manifest.csv`) that the table holds.

    said_by: what names a clip; None: the describer.
    """
    labels = labels_of(folder)
    for name, label in sorted(labels.items()):
        if name in known_sounds() and (split is None or label.split == split):
            yield Naming(name, label.kind, known_sounds()[name], tuple((said_by or suggestions)(Path(folder) / name)))


def found_by(pipe) -> Callable[[Path], list[Suggestion]]:
    """Says of each clip the caption that a model finds for its picture, which is never nothing."""
    classes = caption_classes()

    def said(path: Path) -> list[Suggestion]:
        caption = pipe.caption(pipe.encode_video(read_for_model(path, pipe.timeline).frames))
        if not caption:
            raise ValueError(f"The model {pipe.conditioner.name} finds no captions; ta-v2a does.")
        return [Suggestion(caption, classes.get(caption, ""), 1.0)]

    return said


def table(found: list[Naming]) -> dict[str, dict]:
    """Rows `group: share named` and `group: right where named`, with Wilson intervals, for all clips and by kind."""
    if not found:
        raise ValueError("There are no clips of the table real_clip_sounds.csv.")
    groups = {"all": found}
    for naming in found:
        groups.setdefault(naming.kind or "other", []).append(naming)
    rows = {}
    for group, members in groups.items():
        said = [naming for naming in members if naming.said]
        rows[f"{group}: share named"] = share(len(said), len(members))
        if said:
            rows[f"{group}: right where named"] = share(sum(naming.is_right for naming in said), len(said))
    return rows


def share(count: int, n: int) -> dict:
    interval = binomtest(count, n).proportion_ci(method="wilson")
    return {"value": count / n, "ci95": [float(interval.low), float(interval.high)], "n": n}
