"""Weights: where they come from, how foreign files are read, and strict loading.

`resolve("paper")` gives a folder that `STAV2APipeline.from_pretrained` opens, fetching and converting the
authors' files on first use. Importing this package downloads nothing and does not import torch.
"""

from __future__ import annotations

from importlib import import_module

from .errors import WeightsError
from .sources import PAPER, Source

_LATE = {
    "add_arguments": "cli",
    "run": "cli",
    "resolve": "locate",
    "unavailable": "locate",
    "convert": "folder",
    "open_release": "folder",
    "write_card": "card",
    "read_state": "read",
    "load_strict": "load",
    "Release": "release",
}
__all__ = ["PAPER", "Source", "WeightsError", *sorted(_LATE)]


def __getattr__(name: str):
    if name in _LATE:
        return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
