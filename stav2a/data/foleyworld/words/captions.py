"""Captions: several wordings of what is heard, some of them held out for tests.

The last phrase of each class (`phrases.py`) and the held-out sentence patterns are for tests only: they show whether a
model understands words that it was not trained on. Informal wordings (`wordings.py`) are for training only, so that
additions leave the tests unchanged.
"""

from __future__ import annotations

import numpy as np

from stav2a.condition.phrases import PHRASES
from stav2a.data.foleyworld.plan import Score
from stav2a.data.foleyworld.words.wordings import WORDINGS

SENTENCES = (
    "{s} {v}",
    "{s} {v}",
    "{s} {v} {count}",
    "{s} {v} {count}",
    "{s} is {ing}",
    "the sound of {s} {ing}",
    "{s} {ing}",
)
HELD_OUT_SENTENCES = (
    "you can hear {s} {ing}",
    "a recording of {s} {ing}",
    "{s} {ing} {count}, close by",
    "audio of {s} {ing}",
)
LOOSE = 0.4  # share of the clauses in training with informal wordings
SILENT = ("silence", "no sound", "nothing can be heard", "it is quiet")
HELD_OUT_SILENT = ("complete silence", "not a sound is heard")


def count_words(count: int, rate: float, rng: np.random.Generator) -> str:
    """The number of events in words; `rate` is in events per second while they last."""
    if count <= 1:
        return "once"
    if count == 2:
        return "twice"
    words = ["several times", "again and again", "repeatedly"]
    if count == 3:
        words = ["three times", "several times"]
    if rate > 3.5:
        words += ["quickly", "in quick succession"]
    elif rate < 0.8:
        words += ["now and then", "slowly"]
    return words[int(rng.integers(len(words)))]


def caption(
    score: Score,
    rng: np.random.Generator,
    held_out: bool = False,
    recorded: dict[str, str] | None = None,
    loose: np.random.Generator | None = None,
) -> str:
    """A sentence about what is heard. `recorded` adds wordings: captions of the recordings used, by class.

    With `loose`, some clauses are informal. It is a separate generator, so that `rng` draws the same values without it.
    """
    classes = score.classes()[:3]
    if not classes:
        choices = HELD_OUT_SILENT if held_out else SILENT
        return choices[int(rng.integers(len(choices)))]
    parts = [_clause(name, score, rng, held_out and k == 0, recorded or {}, loose) for k, name in enumerate(classes)]
    if len(parts) == 1:
        text = parts[0]
    else:
        glue = (" and ", ", ", " while ", ", and ")[int(rng.integers(4))] if len(parts) == 2 else ", "
        text = glue.join(parts[:2]) if len(parts) == 2 else ", ".join(parts[:-1]) + " and " + parts[-1]
    style = rng.random()
    if style < 0.35:
        text = text[0].upper() + text[1:] + "."
    elif style < 0.5:
        text = text[0].upper() + text[1:]
    return text


def _clause(
    name: str,
    score: Score,
    rng: np.random.Generator,
    held_out: bool,
    recorded: dict[str, str],
    loose: np.random.Generator | None,
) -> str:
    times = [e.time_s for e in score.audible if e.cls == name]
    span = times[-1] - times[0] if len(times) > 1 else 1.0
    count = count_words(len(times), (len(times) - 1) / max(span, 0.2), rng) if times else ""
    usual = _usual(name, count, rng, held_out, recorded)
    if loose is None or loose.random() >= LOOSE:
        return usual
    words = WORDINGS[name][int(loose.integers(len(WORDINGS[name])))]
    return f"{words} {count}" if count and loose.random() < 0.5 else words


def _usual(name: str, count: str, rng: np.random.Generator, held_out: bool, recorded: dict[str, str]) -> str:
    if not held_out and recorded.get(name) and rng.random() < 0.4:
        return recorded[name] + (f" {count}" if count and rng.random() < 0.6 else "")
    phrases = PHRASES[name]
    phrase = phrases[-1] if held_out else phrases[int(rng.integers(len(phrases) - 1))]
    subject, verb, ing = phrase.split("|")
    patterns = HELD_OUT_SENTENCES if held_out else SENTENCES
    pattern = patterns[int(rng.integers(len(patterns)))]
    if " is {ing}" in pattern and (ing.startswith("being") or subject in ("waves", "ocean waves", "two hands")):
        pattern = "{s} {v}"
    if not count:
        pattern = pattern.replace(" {count}", "")
    return pattern.format(s=subject, v=verb, ing=ing, count=count)
