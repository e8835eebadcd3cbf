"""Ready sets: one clip with the sounds of several models, made beforehand. Opening one runs no model.

`assets/sets/NAME/`, written by `python -m stav2a example NAME CLIP --systems`, has `set.json`, the silent clip
`silent.mp4`, `original.flac` if the clip has a sound, and a FLAC file for each model.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import soundfile

from stav2a import systems
from stav2a.assets import ASSETS
from stav2a.generation.settings import Settings
from stav2a.generation.variants import along
from stav2a.media.limits import DEFAULT_LIMITS
from stav2a.output import Progress
from stav2a.ui.compare import entries
from stav2a.ui.history import History
from stav2a.ui.own_folder import write_whole

FOLDER = ASSETS / "sets"
RECORD = ("name", "note", "onsets_s", "measures", "settings")


def installed(folder: Path | None = None) -> list[Path]:
    """The folders of the sets in `folder` (`FOLDER` by default), sorted by name."""
    return [path.parent for path in sorted((folder or FOLDER).glob("*/set.json"))]


def write(name: str, clip: Path, base: Settings, models: Sequence[str], engine, folder: Path | None = None) -> Path:
    """Make the sound of each model for the clip, with its own defaults, and store them as a set."""
    target = (folder or FOLDER) / name
    with tempfile.TemporaryDirectory() as scratch:
        variants = along("model", base, models)
        work = entries.rendering(engine, History(Path(scratch)), "set", clip, variants, DEFAULT_LIMITS)
        for item in work(lambda: False):
            made = item
        assert not isinstance(made, Progress), "the last item is the folder"
        known = entries.of_folder(made)
        if target.exists():
            shutil.rmtree(target)
        target.mkdir(parents=True)
        shutil.copy(made / "silent.mp4", target)
        about = json.loads((made / "clip.json").read_text(encoding="utf-8"))
        if about["original"]:
            _copy(made / about["original"], target / "original.flac")
        sounds = []
        for model, variant in zip(models, variants, strict=True):
            stem = entries.variant_hash(variant)
            file = f"{Path(model).name}.flac"
            _copy(Path(known[stem].audio), target / file)
            sounds.append({"stem": stem, "file": file, **{key: getattr(known[stem], key) for key in RECORD}})
        plain = {"part": made.name[-16:], "clip": {**about, "name": name}, "sounds": sounds}
        (target / "set.json").write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return target


def models_of(ready: Path) -> list[str]:
    return [sound["name"] for sound in _read(ready)["sounds"]]


def open_set(history: History, visit: str, ready: Path) -> list[str]:
    """Put the sounds of a set into a visit, where Compare and its blind tests find them; returns their ids.

    Sounds that are there already are kept.
    """
    data = _read(ready)
    found = sorted(history.folder(visit).glob(f"*-clip-{data['part']}"))
    folder = found[-1] if found else history.new_folder(visit, f"clip-{data['part']}")
    if not (folder / "clip.json").exists():
        shutil.copy(ready / "silent.mp4", folder)
        if data["clip"]["original"]:
            _copy(ready / "original.flac", folder / data["clip"]["original"])
        write_whole(folder / "clip.json", json.dumps(data["clip"]))
    there = entries.of_folder(folder)
    for sound in data["sounds"]:
        if sound["stem"] not in there:
            waveform, rate = soundfile.read(ready / sound["file"], dtype="float32")
            record = {key: sound[key] for key in RECORD} | {"listed": True}
            record["note"] = systems.idea(sound["name"]) or record["note"]
            entries.store(folder, sound["stem"], waveform, rate, record)
    return [f"{folder.name}/{sound['stem']}" for sound in data["sounds"]]


def _read(ready: Path) -> dict:
    return json.loads((ready / "set.json").read_text(encoding="utf-8"))


def _copy(source: Path, target: Path) -> None:
    """The sound in another format, told by the suffix; 16 bit."""
    soundfile.write(target, *soundfile.read(source, dtype="float32"), subtype="PCM_16")
