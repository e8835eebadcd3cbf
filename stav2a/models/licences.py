"""Licences of the parts of a model, stored beside the weights through training and assembly.

A converted folder has them in `provenance.licences` of its model_index.json, a folder of parts in licences.json. A
trained part keeps the licence of the weights that it started from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

OURS = "Apache-2.0"
NONE_STATED = "none stated"  # by whoever published the weights
NOT_NOTED = "not noted"  # by whoever put the weights there
FILE = "licences.json"
STRICTNESS = (
    "Apache-2.0",
    "MIT",
    "CC-BY-4.0",
    "CC-BY-SA-4.0",
    "CC-BY-NC-4.0",
    "CC-BY-NC-SA-4.0",
)  # the last binds most


def noted(folder: str | Path) -> dict[str, str]:
    """The noted licences of a folder, by part."""
    found: dict[str, str] = {}
    index, file = Path(folder) / "model_index.json", Path(folder) / FILE
    if index.is_file():
        found |= (json.loads(index.read_text(encoding="utf-8")).get("provenance") or {}).get("licences") or {}
    if file.is_file():
        found |= json.loads(file.read_text(encoding="utf-8"))
    return found


def note(folder: str | Path, licences: Mapping[str, str]) -> None:
    """Note licences of parts; those of other parts are kept."""
    if licences:
        file = Path(folder) / FILE
        kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        file.write_text(json.dumps({**kept, **licences}, indent=1, sort_keys=True), encoding="utf-8")


def parts_in(folder: str | Path) -> set[str]:
    """Names of the parts with weights in a folder."""
    return {path.parent.name for path in Path(folder).glob("*/config.json")}


def note_made(folder: str | Path, before: set[str]) -> None:
    """Note the licences of parts that a training created. A ControlNet has the licence of its U-Net."""
    known = noted(folder)
    made = parts_in(folder) - before - known.keys()
    note(folder, {name: known.get("unet", OURS) if name == "controlnet" else OURS for name in made})


def of_parts(folder: str | Path, names: Iterable[str], model: str) -> dict[str, str]:
    """Licence of each part. For models that this project publishes, a part without a note has the project's licence."""
    found, unknown = noted(folder), NOT_NOTED if model == "paper" else OURS
    return {name: found.get(name, unknown) for name in names}


def overall(licences: Iterable[str]) -> str:
    """The licence of the whole model by the hub's name: the strictest of its parts, "other" if one is unknown."""
    known = [licence for licence in licences if licence != NONE_STATED]
    if not known or not set(known) <= set(STRICTNESS):
        return "other"
    return max(known, key=STRICTNESS.index).lower()
