"""How the results of one clip differ, in a few words each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stav2a import systems
from stav2a.dials import SAMPLERS

LONGEST = 40  # characters of a caption


def _caption(text: object) -> str:
    text = str(text or "").strip()
    return f"“{text if len(text) <= LONGEST else text[: LONGEST - 1] + '…'}”" if text else "no caption"


def _onsets(times: object) -> str:
    count = len(times) if isinstance(times, Sequence) else 0
    return "predicted onsets" if times is None else f"{count} onset{'' if count == 1 else 's'} by hand"


WORDS = {  # setting: text for its value, including None
    "prompt": _caption,
    "negative_prompt": lambda text: f"not {_caption(text)}" if text else "no negative caption",
    "parts": lambda parts: parts or "all parts",
    "onsets_s": _onsets,
    "layout": lambda rows: "predicted layout" if rows is None else "painted layout",
    "reference": lambda name: "no sound of one’s own" if name is None else "a sound of one’s own",
    "loudness_lufs": lambda value: "loudness as made" if value is None else f"{value:g} LUFS",
}
VALUES = {  # setting: text for a value that is not None
    "model": str,
    "guidance_scale": lambda value: f"guidance {value:g}",
    "video_guidance_scale": lambda value: f"video guidance {value:g}",
    "control_scale": lambda value: f"timing strength {value:g}",
    "strength": lambda value: f"strength {value:g}",
    "steps": lambda value: f"{value} step{'' if value == 1 else 's'}",
    "sampler": lambda name: SAMPLERS[name].label.partition(" (")[0] if name in SAMPLERS else str(name),
    "seed": lambda value: f"seed {value}",
}


def differences(settings: Sequence[Mapping]) -> list[str]:
    """For each result the settings in which they differ; if none differ, the results are numbered. One alone gets its
    `summary`."""
    first, *others = WORDS
    names = [first, *(name for name in VALUES if name != "seed"), *systems.own_dials(), *others, "seed"]
    varying = [name for name in names if len({repr(each.get(name)) for each in settings}) > 1]
    if not varying:
        return [f"take {k}" for k in range(1, len(settings) + 1)] if len(settings) > 1 else [summary(settings[0])]
    return [" · ".join(_said(name, each.get(name)) for name in varying) for each in settings]


def summary(settings: Mapping) -> str:
    """The settings of one result, without its caption, which may be personal."""
    names = ["guidance_scale", "steps", "sampler", "seed"]
    names += ["control_scale"] if settings.get("control_scale", 1) != 1 else []
    return " · ".join(VALUES[name](settings[name]) for name in names if settings.get(name) is not None)


def _said(name: str, value: object) -> str:
    if name in WORDS:
        return WORDS[name](value)
    if value is None:
        return f"{name.replace('_', ' ')}: the model’s own"
    return VALUES[name](value) if name in VALUES else f"{name.replace('_', ' ')} {value:g}"
