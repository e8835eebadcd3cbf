"""The folder of the model `paper`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from . import fetch
from .errors import WeightsError
from .sources import PAPER, REQUIRED

log = logging.getLogger(__name__)


def resolve(name: str, pipeline_class: type | None = None) -> Path:
    """The folder of the paper's model, fetched and converted on first use; `pipeline_class` writes it."""
    if name != "paper":
        raise WeightsError(f"There are no fetched weights of the name {name!r}; there is paper.")
    folder = fetch.home() / "paper"
    if not (folder / "model_index.json").is_file():
        if pipeline_class is None:
            raise WeightsError("The authors' weights are not converted yet: run `python -m stav2a weights convert`.")
        convert_fetched(pipeline_class, folder)
    return folder


def unavailable(name: str = "paper") -> str | None:
    """Why the paper's model would first have to be fetched, or None. Looks at the disk only."""
    if name != "paper" or (fetch.home() / "paper" / "model_index.json").is_file():
        return None
    if all(fetch.in_cache(PAPER[part]) for part in REQUIRED):
        return None
    return "The authors' weights are not on this machine: run `python -m stav2a weights fetch` once (several GB)."


def fetch_paper(ignore: tuple[str, ...] = ()) -> dict[str, Path]:
    """Folder by source of all that the paper's model needs: what the release itself does not hold, too."""
    places = {name: fetch.fetch(name) for name in REQUIRED}
    from .release import Release  # after the fetching, which needs no torch

    held = Release.find(places["stav2a"]).states(ignore)
    if "text_encoder" not in held:
        places["mt5-weights"] = fetch.fetch("mt5-weights")
    if "video_encoder" not in held:
        places["cavp"] = fetch.fetch("cavp")
    return places


def convert_fetched(pipeline_class: type, folder: Path, ignore: tuple[str, ...] = (), **options: Any) -> Path:
    """Fetch what is missing, convert it to `folder`, and note where every part came from."""
    from .folder import convert

    places = fetch_paper(ignore)
    log.info("converting to %s", folder)
    sources = {name: {"repository": PAPER[name].repo, "revision": place.name} for name, place in places.items()}
    cavp = places["cavp"] / PAPER["cavp"].files[0] if "cavp" in places else None
    text = places.get("mt5-weights", places["mt5"])
    return convert(
        pipeline_class,
        folder,
        places["stav2a"],
        text,
        places["audioldm"],
        cavp,
        ignore=ignore,
        sources=sources,
        **options,
    )
