"""Systems: ways to condition one and the same generator. Each module of this package beside `base` is one.

`vta_ldm.py` is `vta-ldm` on the command line, on the page, in `train` and in tables. `vta_ldm.yaml` beside it declares
its title and its dials; its weights lie in `assets/systems/vta-ldm`. Reading declarations imports neither torch nor the
systems. docs/systems.md shows how to add one.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from stav2a.assets import ASSETS
from stav2a.dials import Dial, Dials, table

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


@dataclass(frozen=True)
class Declaration:
    """What a system says of itself; `dials`: those of `Dials` that not every model has, and its own, by name."""

    name: str
    title: str  # one line for lists
    uses_caption: bool = True
    generates: bool = True  # by a network; else it plays recordings alone
    dials: Mapping[str, Dial] = field(default_factory=dict)


@cache
def declared(name: str) -> Declaration:
    """The YAML file beside a system's module. `ValueError` names what is wrong in it."""
    file = next(path for folder in __path__ if (path := Path(folder, f"{name.replace('-', '_')}.yaml")).is_file())
    return read_declaration(file, name)


def read_declaration(file: Path, name: str) -> Declaration:
    """A dial of `Dials` is named with what differs from its declaration there; another one is declared whole."""
    known = table(Dials)
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
        dials = {
            dial: replace(known[dial], **(own or {})) if dial in known else Dial(**own, everywhere=False)
            for dial, own in (data.pop("dials", None) or {}).items()
        }
        dials |= {dial: known[dial] for dial in known if known[dial].needs in dials}
        return Declaration(name, dials=dials, **data)
    except (TypeError, AttributeError, yaml.YAMLError) as error:
        raise ValueError(f"{file.name} is no declaration of a system: {error}") from error


def own_dials() -> dict[str, Dial]:
    """Dials that systems declare for themselves, which no field of `Dials` holds."""
    known = table(Dials)
    return {name: dial for one in names() for name, dial in declared(one).dials.items() if name not in known}


def having(dial: str) -> list[str]:
    """The systems that have a dial."""
    return [name for name in names() if dial in declared(name).dials]


def about(name: str) -> str:
    """What a person should know before choosing a system, in sentences; nothing for models that are none of these."""
    if name in ("compact", "paper"):
        name = OWN
    if name not in names():
        return ""
    own = declared(name)
    told = [f"{own.title[:1].upper()}{own.title[1:]}."]
    if not own.uses_caption:
        told.append("It hears no caption.")
    if "layout" in own.dials:
        told.append("Its audio layout can be painted after the first run.")
    if not own.generates:
        told.append("It has no steps and no guidance.")
    elif "onsets_s" not in own.dials:
        told.append("Onsets and temporal control do not move its sound.")
    return " ".join(told)


def present() -> list[str]:
    """The systems whose weights are here."""
    return [name for name in names() if unavailable(name) is None]
