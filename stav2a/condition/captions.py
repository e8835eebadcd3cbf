"""A bank of captions in the wording of the training data, and free-form prompts mapped to it (TA-V2A §II-D)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from torch import Tensor
from torch.nn import functional

ALIKE = 0.8  # cosine similarity of sentence embeddings above which two captions mean the same
_SOUND = r"(?:(?:sound|audio|noise|recording|sfx)s?(?: effects?| tracks?)?)"
_ASKED = re.compile(
    rf"""^(?:please[, ]+)?
    (?:(?:can|could|would)\ you\ (?:please\ )?|i\ (?:want|need|would\ like|wish)\ (?:to\ hear\ |you\ to\ )?
    |i'd\ like\ (?:to\ hear\ )?|let\ me\ hear\ |give\ me\ )?
    (?:(?:generate|make|create|produce|synthesi[sz]e|add|play|render)\ (?:me\ )?)?
    (?:(?:an?|the|some)\ )?(?:(?:realistic|loud|clear|nice|good)\ )*{_SOUND}\ (?:of|for|like|with)\ |^(?:please[, ]+)
    |^(?:generate|make|create|produce|add)\ (?:me\ )?""",
    re.IGNORECASE | re.VERBOSE,
)
_ENDING = re.compile(
    r"[,\s]*(?:please|in this video|for this (?:clip|video)|to (?:it|the video))?[\s.!?…]*$", re.IGNORECASE
)
_COUNTS = re.compile(r"\b(?:once|twice|(?:two|three|four|several) times|again and again|repeatedly)\b", re.IGNORECASE)

Embed = Callable[[list[str]], Tensor]  # captions -> Tensor[N, D]


@lru_cache(maxsize=1)
def caption_bank() -> tuple[str, ...]:
    """Captions of the model's sound classes, about two per class, from the phrases used for training."""
    return tuple(caption_classes())


def caption_classes() -> dict[str, str]:
    """{caption of `caption_bank`: its sound class}."""
    from stav2a.condition.phrases import PHRASES

    found: dict[str, str] = {}
    for cls, phrases in PHRASES.items():
        for phrase in phrases[:-1]:
            subject, verb, _ = phrase.split("|")
            found.setdefault(f"{subject} {verb}", cls)
    return found


def plain(prompt: str) -> str:
    """A request turned into a caption: "Please generate the sound of A dog barking!" -> "a dog barking"."""
    text = " ".join(prompt.split())
    text = _ENDING.sub("", _ASKED.sub("", text, count=1))
    return text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text


def standardised(prompt: str, embed: Embed, known: Tensor | None = None) -> str:
    """The caption of the bank with the same meaning, with the prompt's count; if none, the `plain` prompt.

    known: the bank's embeddings Tensor[N, D], if already computed.
    """
    text = plain(prompt)
    if not text:
        return ""
    count = _COUNTS.search(text)
    bare = " ".join(_COUNTS.sub("", text).split())
    bank = list(caption_bank())
    if bare in bank:
        return text
    known = embed(bank) if known is None else known
    alike = functional.cosine_similarity(known.float(), embed([bare]).float().to(known.device), dim=-1)
    best = int(alike.argmax())
    if alike[best] < ALIKE:
        return text
    return bank[best] + (f" {count[0].lower()}" if count else "")
