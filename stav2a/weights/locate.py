"""A model's name -> the folder it lies in."""

from __future__ import annotations

import logging
from pathlib import Path

from . import fetch
from .errors import WeightsError
from .sources import PAPER, REQUIRED

log = logging.getLogger(__name__)


def resolve(name: str | Path = "paper") -> Path:
    """The folder of the paper's model, fetched and converted on first use; any other name must be a folder."""
    if name != "paper":
        folder = Path(name)
        if not (folder / "model_index.json").is_file():
            raise WeightsError(f"{folder} is no checkpoint: model_index.json is missing.")
        return folder
    folder = fetch.home() / "paper"
    if not (folder / "model_index.json").is_file():
        convert_fetched(folder)
    return folder


def unavailable(name: str = "paper") -> str | None:
    """Why the paper's model would first have to be fetched, or None. Looks at the disk only."""
    if name != "paper" or (fetch.home() / "paper" / "model_index.json").is_file():
        return None
    absent = [part for part in REQUIRED if fetch.in_cache(PAPER[part]) is None]
    if not absent:
        return None
    return "The authors' weights are not on this machine yet: run `python -m stav2a weights fetch` once (several GB)."


def convert_fetched(folder: Path, **options) -> Path:
    """Fetch what is missing, convert it to `folder`, and note where every part came from."""
    from .folder import convert
    from .release import Release

    places = fetch.fetch_paper()
    held = Release.find(places["stav2a"]).states(options.get("ignore", ())).keys()
    if "text_encoder" not in held:
        places["mt5"] = fetch.fetch("mt5-weights")
    cavp = None
    if "video_encoder" not in held:
        cavp = fetch.fetch("cavp") / PAPER["cavp"].files[0]
    folder.parent.mkdir(parents=True, exist_ok=True)
    log.info("converting to %s", folder)
    record = {name: {"repository": PAPER[name].repo, "revision": place.name} for name, place in places.items()}
    sources = (places["stav2a"], places["mt5"], places["audioldm"], cavp)
    return convert(folder, *sources, record=record, **options)
