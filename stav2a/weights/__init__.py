"""Weights: where they come from, how foreign files are read, and strict loading.

`resolve("paper", STAV2APipeline)` gives a folder that `from_pretrained` opens; it fetches and converts the authors'
files on first use. Importing this package downloads nothing and does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .errors import WeightsError
from .sources import PAPER, Source

_LATE = {
    "resolve": "locate",
    "unavailable": "locate",
    "convert": "folder",
    "open_release": "folder",
    "read_state": "read",
    "load_strict": "load",
    "Release": "release",
}
__all__ = ["PAPER", "Source", "WeightsError", *sorted(_LATE)]


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
