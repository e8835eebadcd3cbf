"""What a caption asks for, part by part: "A dog barks twice, and rain falls." -> "a dog barks", "rain falls"."""

from __future__ import annotations

import re

from stav2a.condition.captions import plain

_COUNT = re.compile(
    r"\s*\b(?:a single time|once|twice|(?:two|three|four|five|a few|several|many) times|again and again|over and over"
    r"|repeatedly|now and then|continuously)\b",
    re.IGNORECASE,
)
_LEAD = re.compile(r"^(?:the|a) sounds? of (?:an? |the )?", re.IGNORECASE)
_BETWEEN = re.compile(
    r"\s*(?:,\s*(?:and|while|with|then)\s+|[,;]\s*|\s+(?:while|as|then|followed by)\s+"
    r"|\s+and\s+(?=an?\s)|\s+and\s+then\s+)"
)
SILENCE = re.compile(r"^(?:complete |total |just |only )?(?:silence|no sounds?|nothing|quiet|silent)$", re.IGNORECASE)


SPEECH = re.compile(
    r"\b(?:speak|talk|say|narrat|whisper|sing|announc)\w*\b|\b(?:speech|voices?|conversation)\b", re.IGNORECASE
)


def bare(caption: str) -> str:
    """A caption without a count of events and without "the sound of"."""
    text = _COUNT.sub("", plain(caption)).replace("a single ", "a ")
    return " ".join(_LEAD.sub("", text).split())


def phrases(prompt: str, most: int = 4) -> list[str]:
    """The parts of a prompt, what is named first coming first; none for silence and for an empty prompt.

    Speech is left out where something else is named: no recording can say what was said.
    """
    parts = [bare(part) for part in _BETWEEN.split(" ".join(prompt.split()))]
    parts = [part for part in parts if part and not SILENCE.match(part)]
    return ([part for part in parts if not _speech(part)] or parts)[:most]


def _speech(part: str) -> bool:
    return bool(SPEECH.search(part)) and not re.search(r"\bbirds?\b", part)


def asks_for_silence(prompt: str) -> bool:
    return bool(SILENCE.match(bare(prompt)))
