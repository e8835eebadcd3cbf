"""Settings for several sounds of one clip: values along one axis, or a grid.

for item in render(engine, clip, along("guidance_scale", settings, [1, 3, 6])):
    ...  # Progress, or a finished `Rendered`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from stav2a.generation.settings import TABLE, Settings, checked
from stav2a.media.limits import InputError

PARTS = {  # rows of the paper's Table III, one part more in each; strength 1, as placed recordings would time them all
    "text only": {"use_control": False, "use_onsets": False, "use_global_tokens": False, "strength": 1.0},
    "+ video control": {"use_control": True, "use_onsets": False, "use_global_tokens": False, "strength": 1.0},
    "+ onset curve": {"use_control": True, "use_onsets": True, "use_global_tokens": False, "strength": 1.0},
    "+ global tokens": {"use_control": True, "use_onsets": True, "use_global_tokens": True, "strength": 1.0},
}
AXES = {  # field of Settings: how a value is named ("parts" are the switches above)
    "guidance_scale": "guidance {:g}",
    "steps": "{:d} steps",
    "seed": "seed {:d}",
    "sampler": "{}",
    "control_scale": "control {:g}",
    "model": "{}",
    "parts": "{}",
}


@dataclass(frozen=True)
class Variant:
    """Settings of one sound, and sampling defaults that override the checkpoint's own (see `Request`)."""

    name: str
    settings: Settings
    defaults: dict[str, float] = field(default_factory=dict)


def along(axis: str, base: Settings, values: Sequence) -> list[Variant]:
    """One variant for each value of `axis`, otherwise like `base`."""
    if axis not in AXES:
        raise InputError(f"The axis must be one of {', '.join(AXES)}.")
    if axis == "parts":
        if unknown := [value for value in values if value not in PARTS]:
            raise InputError(f"There is no part {unknown[0]!r}; there are {', '.join(PARTS)}.")
        return [Variant(name, base.validated(), PARTS[name]) for name in values]
    made = [replace(base, **{axis: value}).validated() for value in values]
    return [Variant(AXES[axis].format(getattr(settings, axis)), settings) for settings in made]


def grid(base: Settings, guidance_scales: Sequence[float], steps: Sequence[int]) -> list[Variant]:
    """Every guidance scale with every number of steps, row by row of equal steps."""
    return [
        Variant(f"guidance {w:g} · {n} steps", replace(base, guidance_scale=w, steps=n).validated())
        for n in steps
        for w in guidance_scales
    ]


def numbers(text: str, name: str, most: int, least: int = 1) -> list[float | int]:
    """The values of a field of `Settings` from "1, 3, 6": in range, ascending, without repetition."""
    dial = TABLE[name]
    words = str(text).replace(";", ",").replace("\n", ",").split(",")
    values = set()
    for word in filter(None, (word.strip() for word in words)):
        try:
            value = float(word)
        except ValueError:
            raise InputError(f"The {dial.noun} needs numbers with commas between them, not {word[:40]!r}.") from None
        values.add(checked(dial, value))
    if not least <= len(values) <= most:
        raise InputError(f"The {dial.noun} has {len(values)} values; between {least} and {most} are needed.")
    return sorted(values)
