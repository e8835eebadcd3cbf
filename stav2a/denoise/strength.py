"""The strength of image-to-image pipelines: how many steps remain when denoising starts from a recording."""

from __future__ import annotations

import math


def steps_from(steps: int, strength: float) -> int:
    """Number of `steps` that run at `strength`: all at 1, none at 0."""
    return min(steps, math.ceil(steps * strength - 1e-9))
