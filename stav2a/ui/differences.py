"""What tells results of one clip from one another, in a few words each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stav2a.dials import SAMPLERS

LONGEST = 40  # characters of a caption


def _caption(text: object) -> str:
    text = str(text or "").strip()
    return f"“{text if len(text) <= LONGEST else text[: LONGEST - 1] + '…'}”" if text else "no caption"


def _onsets(times: object) -> str:
    count = len(times) if isinstance(times, Sequence) else 0
    return "predicted onsets" if times is None else f"{count} onset{'' if count == 1 else 's'} by hand"


WORDS = {  # setting: how its value is said
    "prompt": _caption,
    "negative_prompt": lambda text: f"not {_caption(text)}" if text else "no negative caption",
    "model": str,
    "guidance_scale": lambda value: f"guidance {value:g}",
    "video_guidance_scale": lambda value: f"video guidance {value:g}",
    "control_scale": lambda value: f"timing strength {value:g}",
    "steps": lambda value: f"{value} step{'' if value == 1 else 's'}",
    "sampler": lambda name: SAMPLERS[name].label.partition(" (")[0] if name in SAMPLERS else str(name),
    "onsets_s": _onsets,
    "layout": lambda rows: "predicted layout" if rows is None else "painted layout",
    "loudness_lufs": lambda value: "loudness as made" if value is None else f"{value:g} LUFS",
    "seed": lambda value: f"seed {value}",
}


def differences(settings: Sequence[Mapping]) -> list[str]:
    """For each result the settings in which they differ; where they differ in none, how often it has been made."""
    varying = [name for name in WORDS if len({repr(each.get(name)) for each in settings}) > 1]
    if not varying:
        return [f"take {k}" for k in range(1, len(settings) + 1)] if len(settings) > 1 else ["the first result"]
    return [" · ".join(_said(name, each.get(name)) for name in varying) for each in settings]


def _said(name: str, value: object) -> str:
    if value is None and name not in ("onsets_s", "layout", "loudness_lufs", "prompt", "negative_prompt"):
        return f"{name.replace('_', ' ')}: the model’s own"
    return WORDS[name](value)
