"""Systems: ways to condition one and the same generator. Each file of this package beside `base` is one.

`vta_ldm.py` is `vta-ldm` on the command line, on the page, in `train` and in tables; its weights lie in
`assets/systems/vta-ldm`. Looking at the list imports neither torch nor the systems. docs/systems.md shows how to
add one.
"""

from __future__ import annotations

import ast
import json
import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from stav2a.assets import ASSETS

if TYPE_CHECKING:
    from stav2a.systems.base import System

FOLDER = ASSETS / "systems"
OWN = "sta-v2a"  # this project's own, whose weights are the built-in model


def names() -> list[str]:
    """Every system, sta-v2a first."""
    found = [module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__) if module.name != "base"]
    return [OWN, *sorted(set(found) - {OWN})]


def find(name: str) -> type[System]:
    """The class of a system by its name."""
    if name not in names():
        raise ValueError(f"There is no system {name!r}; there are {', '.join(names())}.")
    return import_module(f"{__name__}.{name.replace('-', '_')}").SYSTEM


def folder(name: str) -> Path:
    """Where the weights of a system lie, whether they are there or not."""
    return FOLDER.parent / "compact" if name == OWN else FOLDER / name


def unavailable(name: str) -> str | None:
    """Why a system cannot be used here, or None."""
    place = folder(name)
    if (place / "model_index.json").is_file():
        return None
    where = place.relative_to(FOLDER.parents[1]).as_posix()
    return f"The system {name} has no weights here: there is no {where}. docs/systems.md says how to train it."


def leans_on(name: str) -> str | None:
    """The model that the weights of a system lean on; None where they are whole or not here."""
    index = folder(name) / "model_index.json"
    if not index.is_file():
        return None
    provenance = json.loads(index.read_text(encoding="utf-8")).get("provenance") or {}
    return (provenance.get("base") or {}).get("model")


def about(name: str) -> str:
    """What a person should know before choosing a system, in sentences; nothing for models that are none of these."""
    if name in ("compact", "paper"):
        name = OWN
    if name not in names():
        return ""
    own = declared(name)
    told = [f"{own['title'][:1].upper()}{own['title'][1:]}."]
    if not own.get("hears_caption", True):
        told.append("It hears no caption.")
    if own.get("latent_channels", 0):
        told.append("Its audio layout can be painted after the first run.")
    if not own.get("generates", True):
        told.append("It has no steps and no guidance.")
    elif not own.get("follows_onsets", False):
        told.append("Onsets and temporal control do not move its sound.")
    return " ".join(told)


@cache
def declared(name: str) -> dict:
    """What the class of a system says of itself in plain constants, read without running its module.

    The page tells it before anybody has chosen a model; importing a system takes torch with it, and seconds.
    """
    files = [Path(folder, f"{name.replace('-', '_')}.py") for folder in __path__]
    source = next(file for file in files if file.is_file()).read_text(encoding="utf-8")
    body = ast.parse(source).body
    assigned = {node.targets[0].id: node.value for node in body if isinstance(node, ast.Assign)}
    kind = next(node for node in body if isinstance(node, ast.ClassDef) and node.name == assigned["SYSTEM"].id)
    constants = [node for node in kind.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)]
    return {node.targets[0].id: node.value.value for node in constants}


def present() -> list[str]:
    """The systems whose weights are here."""
    return [name for name in names() if unavailable(name) is None]
