"""Captions for clips without one: from a pretrained image network, or from a vision-language model of the hub."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stav2a.generation.settings import BUILT_IN, MAX_PROMPT, OFF, Settings
from stav2a.media import read_frames
from stav2a.media.limits import DEFAULT_LIMITS, Limits
from stav2a.weights.errors import WeightsError

if TYPE_CHECKING:
    from stav2a.condition.image_features import Suggestion

log = logging.getLogger(__name__)
PICTURES_PER_S = 2.0  # decoded; of a long clip the describer uses a part of them


@dataclass(frozen=True)
class Caption:
    """A caption and its source: "given", "built-in", a model of the hub, or "none"."""

    text: str
    source: str
    seen: tuple[Suggestion, ...] = ()  # by the built-in describer, the surest first
    note: str = ""  # what a person should know of it


def noted(caption: Caption, tokenizer: Any) -> Caption:
    """The caption, with a sentence where the text encoder does not know its words."""
    from stav2a.condition.text import unfamiliar  # brings torch, without which the page is made

    words = unfamiliar(tokenizer, caption.text)
    if not words:
        return caption
    listed = ", ".join(words[:5]) + (", …" if len(words) > 5 else "")
    return replace(caption, note=f"The model knows English; most words of this caption are unknown to it: {listed}.")


def suggest(path: str | Path, limits: Limits = DEFAULT_LIMITS) -> list[str]:
    """Captions of the sounds that the frames of a clip show with confidence: none, one or two."""
    return [suggestion.caption for suggestion in suggestions(path, limits=limits)]


def suggestions(
    path: str | Path,
    start_s: float = 0.0,
    length_s: float | None = None,
    limits: Limits = DEFAULT_LIMITS,
    cancelled: Callable[[], bool] | None = None,
) -> list[Suggestion]:
    """Suggestions of the built-in describer for a part of a clip; none if its packages are not installed."""
    from stav2a.condition.image_features import describe, network

    if (sentence := network.unavailable()) is not None:
        log.warning("%s", sentence)
        return []
    size = network.SIZES[network.DEFAULT]
    clip = read_frames(path, PICTURES_PER_S, size, start_s, length_s, limits, cancelled, shown="nearest")
    return describe(clip.frames, clip.fps)


def warm() -> None:
    """Load the image network, if it is installed, before the first clip needs it."""
    from stav2a.condition.image_features import network

    if network.unavailable() is None:
        network.shared_network()


def caption_of(
    path: str | Path,
    settings: Settings,
    limits: Limits = DEFAULT_LIMITS,
    cancelled: Callable[[], bool] | None = None,
) -> Caption:
    """The given caption, else the one of the describer in `settings.describe`. The hub gives none if offline."""
    if settings.prompt.strip():
        return Caption(settings.prompt, "given")
    if settings.describe == OFF:
        return Caption("", "none")
    if settings.describe == BUILT_IN:
        seen = suggestions(path, settings.start_s, settings.length_s, limits, cancelled)
        return Caption(seen[0].caption, BUILT_IN, tuple(seen)) if seen else Caption("", "none")
    from stav2a.models.hub_describer import hub_describer

    try:
        text = hub_describer(settings.describe)(Path(path), settings.start_s, settings.length_s)
    except WeightsError as missing:
        log.warning("No caption is made: %s", missing)
        return Caption("", "none")
    return Caption(text[:MAX_PROMPT], settings.describe) if text else Caption("", "none")
