"""All scenes, with how each is made and how often it is chosen."""

from __future__ import annotations

from functools import partial

from stav2a.data.foleyworld.scenes.animals import Caller
from stav2a.data.foleyworld.scenes.bodies import Bodies, Pushed
from stav2a.data.foleyworld.scenes.flashes import Fireworks, Gun
from stav2a.data.foleyworld.scenes.machines import Machine
from stav2a.data.foleyworld.scenes.meetings import Closing, Meeting
from stav2a.data.foleyworld.scenes.movers import Mover
from stav2a.data.foleyworld.scenes.pluck import Pluck
from stav2a.data.foleyworld.scenes.rally import Rally
from stav2a.data.foleyworld.scenes.splash import Splash
from stav2a.data.foleyworld.scenes.strikes import Strike
from stav2a.data.foleyworld.scenes.taps import Taps
from stav2a.data.foleyworld.scenes.vehicles import Vehicle
from stav2a.data.foleyworld.scenes.walkers import Jumper, Walker
from stav2a.data.foleyworld.scenes.weather import Weather

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
