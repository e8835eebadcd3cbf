"""STA-V2A: sound for silent clips, aligned in meaning and in time."""

from __future__ import annotations

import os
from importlib import import_module

# How often a thread of torch (GNU OpenMP) asks for work before it sleeps. The default, 300,000 times, keeps a core from
# the process beside it; and where that holds up one thread, all wait for it. Read when torch loads.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

__version__ = "0.1.0"

_PUBLIC = {
    "STAV2APipeline": "stav2a.pipeline",
    "STAV2AOutput": "stav2a.output",
    "Progress": "stav2a.output",
    "Timeline": "stav2a.timeline",
}
__all__ = ["Progress", "STAV2AOutput", "STAV2APipeline", "Timeline", "__version__"]


def __getattr__(name: str):
    """Import torch and diffusers only when a name that needs them is asked for."""
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
