"""How well a sound matches its caption, according to this project's own sound classifier."""

from __future__ import annotations

import math
import re
import threading
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from stav2a.metrics.bank_classifier import BankClassifier

STOP = """
a an and are as at be being by for from goes hear hit in is it no of off on or over past set some someone something
sound sounding the their through to two up with you
"""
COMMON = frozenset(STOP.split())
LEAST = 2.0  # nats; below it, a word is shared by too many classes to identify one
_turn = threading.Lock()


def class_match(caption: str, waveform: np.ndarray) -> float | None:
    """Share of the other classes to which the classifier gives a lower probability than to the class of the caption.

    1 if that class comes first, 0.5 on average for an unrelated sound; None if the caption names no class, the sound
    is silent, or there is no classifier. `waveform`: float [S] at 16 kHz.
    """
    from stav2a.metrics.bank_classifier import ASSETS, describe, known_classes, rank_of

    if not (ASSETS / "model.safetensors").is_file():
        return None
    classes = known_classes()
    asked = asked_class(caption, tuple(classes))
    if asked is None or not np.abs(waveform).max(initial=0) > 0:
        return None
    with _turn:
        probabilities = describe(_classifier(), waveform).probabilities
    return round(1 - (rank_of(probabilities, classes, asked) - 1) / (len(classes) - 1), 4)


def asked_class(caption: str, classes: tuple[str, ...]) -> str | None:
    """The class that shares most words with the caption, weighted by rarity; None if these are too common."""
    said = words(caption)
    if not said:
        return None
    known, rarity = _vocabulary(classes)
    scores = {name: sum(rarity[word] for word in said & own) for name, own in known.items()}
    best = max(scores, key=lambda name: (scores[name], len(said & words(name.replace("_", " ")))))
    return best if scores[best] >= LEAST else None


def words(text: str) -> frozenset[str]:
    """Content words without their endings: "dogs barking" and "a dog barks" give the same two."""
    found = (word for word in re.findall(r"[a-z]+", text.lower()) if word not in COMMON)
    return frozenset(_stem(word) for word in found)


def _stem(word: str) -> str:
    for ending in ("ing", "es", "ed", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    doubled = len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls"
    return word[:-1] if doubled else word


@lru_cache(2)
def _vocabulary(classes: tuple[str, ...]) -> tuple[dict[str, frozenset[str]], dict[str, float]]:
    """The words in the name and phrases of each class, and how rare each word is, in nats."""
    from stav2a.condition.phrases import PHRASES

    texts = {name: " ".join([name.replace("_", " "), *PHRASES.get(name, ())]).replace("|", " ") for name in classes}
    known = {name: words(text) for name, text in texts.items()}
    counts = Counter(word for own in known.values() for word in own)
    return known, {word: math.log(len(known) / count) for word, count in counts.items()}


@lru_cache(1)
def _classifier() -> BankClassifier:
    from stav2a.metrics.bank_classifier import BankClassifier

    return BankClassifier.load()
