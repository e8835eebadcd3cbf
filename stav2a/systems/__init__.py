"""Systems: ways to condition the same generator. Each module with a YAML file beside it is one.

`vta_ldm.py` is `vta-ldm` on the command line, on the page, in `train` and in tables. `vta_ldm.yaml` beside it declares
its title and its dials; its weights lie in `assets/systems/vta-ldm`. Reading declarations imports neither torch nor the
systems. docs/systems.md shows how to add one.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from stav2a.assets import ASSETS
from stav2a.dials import Dial, Dials, table

from .declaration import Declaration, read_declaration

if TYPE_CHECKING:
    from stav2a.systems.base import System

FOLDER = ASSETS / "systems"
OWN = "sta-v2a"  # this project's own, whose weights are the built-in model


def names() -> list[str]:
    """Every system, sta-v2a first."""
    found = {file.stem.replace("_", "-") for folder in __path__ for file in Path(folder).glob("*.yaml")}
    return [OWN, *sorted(found - {OWN})]


def find(name: str) -> type[System]:
    """The class of a system by its name."""
    if name not in names():
        raise ValueError(f"There is no system {name!r}; there are {', '.join(names())}.")
    return import_module(f"{__name__}.{name.replace('-', '_')}").SYSTEM


def folder(name: str) -> Path:
    """Folder for the weights of a system, which may not exist."""
    return FOLDER.parent / "compact" if name == OWN else FOLDER / name


def unavailable(name: str) -> str | None:
    """The reason why a system cannot be used, or None."""
    place = folder(name)
    if (place / "model_index.json").is_file():
        return None
    where = place.relative_to(FOLDER.parents[1]).as_posix()
    return f"The system {name} has no weights here: there is no {where}. docs/systems.md says how to train it."


def leans_on(name: str) -> str | None:
    """The base model that a system's weights need; None if they are complete or not installed."""
    index = folder(name) / "model_index.json"
    if not index.is_file():
        return None
    provenance = json.loads(index.read_text(encoding="utf-8")).get("provenance") or {}
    return (provenance.get("base") or {}).get("model")


@cache
def declared(name: str) -> Declaration:
    """The declaration of a system. `ValueError` says what is wrong in its YAML file."""
    file = next(path for folder in __path__ if (path := Path(folder, f"{name.replace('-', '_')}.yaml")).is_file())
    return read_declaration(file, name)


def own_dials() -> dict[str, Dial]:
    """Dials that systems declare and `Dials` has no field for."""
    known = table(Dials)
    return {name: dial for one in names() for name, dial in declared(one).dials.items() if name not in known}


def having(dial: str) -> list[str]:
    """The systems that have a dial."""
    return [name for name in names() if dial in declared(name).dials]


def idea(name: str) -> str:
    """How a model makes sound, in one sentence without a full stop; empty for one that is no system."""
    own = OWN if name in ("compact", "paper") else name
    if own not in names():
        return ""
    text = declared(own).idea or declared(own).title
    return f"{text[:1].upper()}{text[1:]}"


def about(name: str) -> str:
    """A short description of a system for users; empty for other models."""
    if not idea(name):
        return ""
    own = declared(OWN if name in ("compact", "paper") else name)
    sentences = [f"{idea(name)}."]
    if not own.uses_caption:
        sentences.append("It hears no caption.")
    if "layout" in own.dials:
        sentences.append("Its audio layout can be painted after the first run.")
    if not own.generates:
        sentences.append("It has no steps and no guidance.")
    elif "onsets_s" not in own.dials:
        sentences.append("Onsets and temporal control do not move its sound.")
    return " ".join(sentences)


def present() -> list[str]:
    """Systems whose weights are installed."""
    return [name for name in names() if unavailable(name) is None]
