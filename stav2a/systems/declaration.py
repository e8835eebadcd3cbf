"""The declaration of a system: the YAML file beside its module, read without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from stav2a.dials import Dial, Dials, table


@dataclass(frozen=True)
class Declaration:
    """Declaration of a system. `dials`: fields of `Dials` that not every model has, and its own dials, by name."""

    name: str
    title: str  # one line for lists, in the terms of the field
    idea: str = ""  # the same for readers who know none of the papers
    uses_caption: bool = True
    generates: bool = True  # by a network; else it plays recordings alone
    dials: Mapping[str, Dial] = field(default_factory=dict)


def read_declaration(file: Path, name: str) -> Declaration:
    """Read a YAML file. It names dials of `Dials`, with what differs, and declares others in full."""
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
