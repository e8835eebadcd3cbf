"""What a caption asks for, part by part: "A dog barks twice, and rain falls." -> "a dog barks", "rain falls"."""

from __future__ import annotations

import re

from stav2a.condition.captions import plain

_COUNT = re.compile(
    r"\s*\b(?:a single time|once|twice|(?:two|three|four|five|a few|several|many) times|again and again|over and over"
    r"|repeatedly|now and then|continuously)\b",
    re.IGNORECASE,
)
_TIMES = {"once": 1, "a single": 1, "twice": 2, "two times": 2, "three times": 3, "four times": 4, "five times": 5}
_LEAD = re.compile(r"^(?:the sounds? of|a sounds? of|(?:you|we|one) can hear|there is) (?:an? |the )?", re.IGNORECASE)
_MANNER = re.compile(
    r",?\s+(?:close by|nearby|far away|in the distance|in the background|short and dry|with a long echo|quickly|slowly"
    r"|loudly|quietly|softly|gently)\b",
    re.IGNORECASE,
)
_BETWEEN = re.compile(
    r"\s*(?:,\s*(?:and|while|with|then)\s+|[,;]\s*|\s+(?:while|as|then|followed by)\s+"
    r"|\s+and\s+(?=an?\s)|\s+and\s+then\s+)"
)
_STICK = re.compile(r"\bdrum ?stick", re.IGNORECASE)  # what it hits sounds, and that is seldom a drum
_NOUN = re.compile(r"(?:an?|the) \w+", re.IGNORECASE)
SILENCE = re.compile(r"^(?:complete |total |just |only )?(?:silence|no sounds?|nothing|quiet|silent)$", re.IGNORECASE)


SPEECH = re.compile(
    r"\b(?:speak|talk|say|narrat|whisper|sing|announc)\w*\b|\b(?:speech|voices?|conversation)\b", re.IGNORECASE
)


def bare(caption: str) -> str:
    """A caption without a count of events and without "the sound of"."""
    text = _COUNT.sub("", plain(caption)).replace("a single ", "a ")
    return " ".join(_LEAD.sub("", text).split())


def count_of(part: str) -> int | None:
    """How many events a part of a prompt asks for, where it says so."""
    found = re.search(rf"\b(?:{'|'.join(_TIMES)})\b", part, re.IGNORECASE)
    return _TIMES[found.group().lower()] if found else None


def phrases(prompt: str, most: int = 4) -> list[str]:
    """The parts of a prompt, without their counts; see `counted`."""
    return [part for part, _ in counted(prompt, most)]


def counted(prompt: str, most: int = 4) -> list[tuple[str, int | None]]:
    """The parts of a prompt and their counts, what is named first coming first; none for silence and an empty prompt.

    Speech is left out where something else is named: no recording can say what was said.
    """
    parts = [(bare(part), count_of(part)) for part in _joined(_BETWEEN.split(_worded(prompt)))]
    parts = [(part, count) for part, count in parts if part and not SILENCE.match(part)]
    return ([(part, count) for part, count in parts if not _speech(part)] or parts)[:most]


def _worded(prompt: str) -> str:
    """A prompt on one line, without the manner of its sounds."""
    return _MANNER.sub("", _STICK.sub("wooden stick", " ".join(prompt.split())))


def _joined(parts: list[str]) -> list[str]:
    """A thing alone goes with the sentence after it: "a man", "a child bounce a ball" are one part."""
    joined: list[str] = []
    for part in parts:
        alone = joined and _NOUN.fullmatch(joined[-1].strip()) and len(part.split()) > 2
        joined[-1:] = [f"{joined[-1]} and {part}"] if alone else [*joined[-1:], part]
    return joined


def _speech(part: str) -> bool:
    return bool(SPEECH.search(part)) and not re.search(r"\bbirds?\b", part)
