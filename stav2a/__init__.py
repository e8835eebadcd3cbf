"""STA-V2A: sound for silent clips, aligned in meaning and in time."""

from __future__ import annotations

from importlib import import_module

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
