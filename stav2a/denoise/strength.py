"""How much of the way from noise to sound is gone when a recording is the start of it (as diffusers' img2img)."""

from __future__ import annotations

import math


def steps_from(steps: int, strength: float) -> int:
    """Of `steps` from noise to sound, those gone from a recording at `strength`: all at 1, none at 0."""
    return min(steps, math.ceil(steps * strength - 1e-9))
