"""The table of scenes: how each is made and how often it is chosen."""

from __future__ import annotations

from functools import partial

from .animals import Caller
from .bodies import Bodies, Pushed
from .flashes import Fireworks, Gun
from .machines import Machine
from .meetings import Closing, Meeting
from .movers import Mover
from .pluck import Pluck
from .rally import Rally
from .splash import Splash
from .strikes import Strike
from .taps import Taps
from .vehicles import Vehicle
from .walkers import Jumper, Walker
from .weather import Weather

SCENES = {
    "strike": (Strike, 3.2),
    "drum_kit": (partial(Strike, kit=True), 1.2),
    "taps": (Taps, 1.2),
    "bodies": (Bodies, 1.4),
    "pushed": (Pushed, 0.7),
    "walker": (Walker, 1.1),
    "jumper": (Jumper, 0.5),
    "caller": (Caller, 2.6),
    "gun": (Gun, 1.5),
    "fireworks": (Fireworks, 1.4),
    "closing": (Closing, 0.8),
    "meeting": (Meeting, 1.1),
    "pluck": (Pluck, 1.0),
    "rally": (Rally, 0.9),
    "splash": (Splash, 0.8),
    "machine": (Machine, 1.5),
    "vehicle": (Vehicle, 1.3),
    "weather": (Weather, 2.0),
}
SILENT = {"mover": (Mover, 1.0)}
