"""What the parts of a model may be used for: a licence a part, kept beside the weights through training and assembly.

A converted folder tells it in `provenance.licences` of its model_index.json, a folder of parts in licences.json.
A part goes on under the licence of the weights that its training began with.
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
    """Licence by part of a folder, as far as it was written down."""
    found: dict[str, str] = {}
    index, file = Path(folder) / "model_index.json", Path(folder) / FILE
    if index.is_file():
        found |= (json.loads(index.read_text(encoding="utf-8")).get("provenance") or {}).get("licences") or {}
    if file.is_file():
        found |= json.loads(file.read_text(encoding="utf-8"))
    return found


def note(folder: str | Path, licences: Mapping[str, str]) -> None:
    """Write down licences of parts; those of other parts stay."""
    if licences:
        file = Path(folder) / FILE
        kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        file.write_text(json.dumps({**kept, **licences}, indent=1, sort_keys=True), encoding="utf-8")


def parts_in(folder: str | Path) -> set[str]:
    """Names of the parts whose weights lie in a folder."""
    return {path.parent.name for path in Path(folder).glob("*/config.json")}


def note_made(folder: str | Path, before: set[str]) -> None:
    """Write down that parts which were not there before a training are its own; a ControlNet is a copy of its U-Net."""
    known = noted(folder)
    made = parts_in(folder) - before - known.keys()
    note(folder, {name: known.get("unet", OURS) if name == "controlnet" else OURS for name in made})


def of_parts(folder: str | Path, names: Iterable[str], model: str) -> dict[str, str]:
    """Licence of each part; of the sizes that this project publishes itself what is not noted is its own."""
    found, unknown = noted(folder), NOT_NOTED if model == "paper" else OURS
    return {name: found.get(name, unknown) for name in names}


def overall(licences: Iterable[str]) -> str:
    """What a whole may be used for, as the hub writes it: the licence that binds most; "other" where one is unknown."""
    known = [licence for licence in licences if licence != NONE_STATED]
    if not known or not set(known) <= set(STRICTNESS):
        return "other"
    return max(known, key=STRICTNESS.index).lower()
