"""The table of scenes with their weights."""

from __future__ import annotations

from functools import partial

from .animals import Caller
from .bodies import Bodies, Pushed
from .strikes import Strike, Taps
from .walkers import Jumper, Walker

SCENES = {
    "strike": (Strike, 3.0),
    "drum_kit": (partial(Strike, kit=True), 1.0),
    "taps": (Taps, 1.2),
    "bodies": (Bodies, 1.6),
    "pushed": (Pushed, 0.8),
    "walker": (Walker, 1.2),
    "jumper": (Jumper, 0.5),
    "caller": (Caller, 2.6),
}
SILENT = {}
