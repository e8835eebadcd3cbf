"""The folder of a model by its name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from stav2a import systems
from stav2a.assets import ASSETS

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def checkpoint_folder(name: str | Path, pipeline_class: type | None = None, **hub_options: Any) -> Path:
    """The folder of a model by name, path or hub repository (fetched by huggingface_hub).

    `pipeline_class` writes the folder of "paper" on its first use; without it that folder must be there.
    """
    if name == "paper":
        from stav2a.weights import resolve

        return resolve("paper", pipeline_class)
    if name in systems.names():
        if (missing := systems.unavailable(name)) is not None:
            raise ValueError(missing)
        return systems.folder(name)
    if name == "compact":
        if not (ASSETS / "compact" / "model_index.json").is_file():
            raise ValueError("The built-in model is missing: there is no assets/compact. Choose another model.")
        return ASSETS / "compact"
    if Path(name).is_dir():
        if not (Path(name) / "model_index.json").is_file():
            raise ValueError(f"{name} is no checkpoint: model_index.json is missing.")
        return Path(name)
    if not REPOSITORY.fullmatch(str(name)):
        known = ", ".join(["compact", "paper", "tiny", *systems.names()])
        raise ValueError(f"There is no model {str(name)!r}: give {known}, a folder or a hub repository.")
    from stav2a.weights.fetch import fetch_checkpoint

    return fetch_checkpoint(str(name), **hub_options)
