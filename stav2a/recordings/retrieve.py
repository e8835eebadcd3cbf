"""Which recordings a caption or a class asks for; of a picture, the describer's caption does.

Captions are compared as sentences (cosine of MiniLM embeddings), as Re-AudioLDM (arXiv 2309.08051) retrieves by
CLAP: with the captions of the recordings, and with what else their classes are called (`names.py`). The best class
wins; within it a seed chooses, the better matches more often, so that takes differ.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from stav2a.recordings.phrases import bare, counted
from stav2a.recordings.shelf import Recording, Shelf
from stav2a.recordings.voice import Voice, make_voice

Embed = Callable[[Sequence[str]], np.ndarray]  # captions -> float32 [N, D], unit length

FITTING = 0.05  # cosine that a recording gains where hits or textures are what the picture shows
FITTING_WITHIN = 0.2  # of the best cosine: then only recordings that fit are taken
WIDTH = 0.08  # of the choice among recordings of the class, cosine
MOST_VARIANTS = 4
ALIKE = 0.6  # cosine of spectra from which recordings pass for variants of one another


def by_caption(
    shelf: Shelf, prompt: str, embed: Embed, seed: int, rate: int, hits_wanted: bool | None = None
) -> list[Voice]:
    """A voice for each part of the prompt, the first named first; none for silence or an empty prompt.

    hits_wanted: whether the picture shows separate events; None where there is no picture.
    """
    parts = counted(prompt)
    if not parts:
        return []
    return [
        replace(_voice(shelf, part, likeness(shelf, vector), seed, rate, hits_wanted), count=count)
        for (part, count), vector in zip(parts, embed([part for part, _ in parts]), strict=True)
    ]


def likeness(shelf: Shelf, vector: np.ndarray) -> np.ndarray:
    """Cosine of each recording's caption with a sentence [D]: float [N].

    Where the sentence comes nearer to another name of a class, its recordings rise together, the best to that cosine.
    """
    scores = shelf.embeddings @ vector
    for cls, cosine in zip(shelf.names.values(), shelf.name_embeddings @ vector, strict=True):
        places = shelf.by_class(cls)
        scores[places] += max(0.0, cosine - scores[places].max())
    return scores


def by_class(shelf: Shelf, cls: str, seed: int, rate: int, hits_wanted: bool | None = None) -> Voice:
    """A voice of the class; ValueError for a class that the shelf does not hold."""
    places = shelf.by_class(cls)
    if not places:
        raise ValueError(f"The shelf holds no {cls!r}; it holds {', '.join(shelf.classes)}.")
    scores = np.full(len(shelf), -1.0, np.float32)
    scores[places] = 1.0
    return _voice(shelf, cls.replace("_", " "), scores, seed, rate, hits_wanted)


def _voice(shelf: Shelf, phrase: str, scores: np.ndarray, seed: int, rate: int, hits_wanted: bool | None) -> Voice:
    scores = scores.astype(np.float64)
    fits = np.ones(len(scores), bool)
    if hits_wanted is not None:
        fits = np.array([(r.kind != "texture") == hits_wanted for r in shelf.recordings])
    best = int(np.argmax(scores + FITTING * fits))
    places = np.array(shelf.by_class(shelf.recordings[best].cls))
    fitting = places[fits[places] & (scores[places] >= scores[best] - FITTING_WITHIN)]
    places = fitting if len(fitting) else places
    if hits_wanted and not all(shelf.recordings[k].is_roll for k in places):
        places = places[[not shelf.recordings[k].is_roll for k in places]]
    weights = np.exp((scores[places] - scores[places].max()) / WIDTH)
    share = np.cumsum(weights / weights.sum())
    anchor = int(places[min(int(np.searchsorted(share, _spread(seed))), len(places) - 1)])
    return make_voice(shelf, phrase, variants(shelf, anchor), rate)


def _spread(seed: int) -> float:
    """A place in [0, 1): seeds that follow one another lie far apart (steps of the golden ratio), so takes differ."""
    return (0.5 + seed * 0.6180339887498949) % 1.0


def variants(shelf: Shelf, anchor: int) -> list[Recording]:
    """The recording and others that pass for the same thing: of its series first, then those that sound alike."""
    first = shelf.recordings[anchor]
    if first.kind == "texture":
        return [first]
    others = [k for k in shelf.by_class(first.cls) if k != anchor and shelf.recordings[k].kind != "texture"]
    others = [k for k in others if shelf.recordings[k].is_roll == first.is_roll]
    series = [k for k in others if _of_one_series(shelf.recordings[k], first)]
    if len(series) < MOST_VARIANTS - 1 and len(first.attacks_s) < MOST_VARIANTS:
        own = _spectrum(shelf.load(first))
        near = [k for k in others if k not in series and bare(shelf.recordings[k].caption) == bare(first.caption)]
        likeness = {k: float(own @ _spectrum(shelf.load(shelf.recordings[k]))) for k in near}
        series += sorted((k for k in near if likeness[k] >= ALIKE), key=lambda k: (-likeness[k], k))
    return [first, *(shelf.recordings[k] for k in series[: MOST_VARIANTS - 1])]


def _of_one_series(one: Recording, other: Recording) -> bool:
    return one.group == other.group and bare(one.caption) == bare(other.caption)


def _spectrum(waveform: np.ndarray) -> np.ndarray:
    """Mean level of 24 bands on a logarithmic scale of frequency, mean removed, unit length."""
    power = np.abs(np.fft.rfft(waveform, 16384 if len(waveform) < 16384 else None)) ** 2
    edges = np.geomspace(0.006, 1.0, 25) * (len(power) - 1)
    bands = [power[int(a) : max(int(b), int(a) + 1)].mean() for a, b in itertools.pairwise(edges)]
    level = np.log10(np.asarray(bands) + 1e-9)
    level -= level.mean()
    return level / max(float(np.linalg.norm(level)), 1e-9)
