"""Sounds of a visit that can be compared: takes of its runs, and rendered variants.

Variants are stored in the visit's folder, one folder per clip and part; a file's name is a hash of all its settings.
So a variant is found again by every tab, and after a reload:

    <visit>/<time>-clip-<hash>/clip.json, silent.mp4, original.wav     and for each variant
                               <hash>.json, .wav (as made), .listen.wav (levelled), .png and .npy (its mel)
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from stav2a.generation.generate import Rendered
from stav2a.generation.settings import Settings
from stav2a.generation.variants import Variant
from stav2a.media.limits import InputError, Limits
from stav2a.output import Progress
from stav2a.ui import work
from stav2a.ui.differences import summary
from stav2a.ui.history import History, Run, clip_hash
from stav2a.ui.own_folder import began, write_whole

MOST_VARIANTS = 72  # per clip; the oldest are removed first
MOST_CLIPS = 4
FEWEST, MOST = 2, 6  # sounds side by side


@dataclass(frozen=True)
class Entry:
    """One sound. `clip` is equal for entries of the same part of the same clip.

    `name` is stored in ratings, so it has no caption; lists name entries by how their `settings` differ.
    """

    id: str
    name: str
    note: str
    clip: str
    audio: str
    duration_s: float
    onsets_s: list[float]
    video: str | None = None
    original: str | None = None
    original_onsets_s: list[float] | None = None
    measures: dict = field(default_factory=dict)
    listed: bool = True  # offered in Compare; cells of a grid only after they were sent there
    settings: dict = field(default_factory=dict)
    clip_name: str = ""
    thumb: str | None = None  # image of its mel-spectrogram
    files: dict = field(default_factory=dict)  # loudness-matched sound and mel, if they are on disk


def of_runs(runs: list[Run]) -> list[Entry]:
    """Every take of every run."""
    found = []
    for run in runs:
        for k, take in enumerate(run.takes):
            caption = (run.settings.get("prompt") or "").strip()
            settings = {**run.settings, "seed": take.seed}
            entry = Entry(
                id=f"{run.id}/take-{k + 1}", name=summary(settings), note=caption[:60] or "no caption",
                clip=f"{run.clip_key}-{run.start_s:g}-{run.duration_s:.2f}", audio=take.audio,
                duration_s=run.duration_s, onsets_s=take.onsets_s, video=take.video, original=run.original,
                original_onsets_s=run.original_onsets_s, measures=take.measures, settings=settings,
                clip_name=Path(run.clip).name, thumb=run.thumb if run.thumb and not k else None,
            )  # fmt: skip
            found.append(entry)
    return found


def of_folder(folder: Path) -> dict[str, Entry]:
    """The variants in the folder of a clip by their hashes, oldest first."""
    try:
        about = json.loads((folder / "clip.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    found = {}
    for path in _records(folder):
        data = json.loads(path.read_text(encoding="utf-8"))
        own = folder / path.stem
        paths = {"original": about["original"] and str(folder / about["original"]), "video": str(folder / "silent.mp4")}
        files = {"listen": f"{own}.listen.wav", "mel": f"{own}.png", "array": f"{own}.npy", "own_db": data["own_db"]}
        found[path.stem] = Entry(
            id=f"{folder.name}/{path.stem}", name=data["name"], note=data["note"], clip=about["clip"],
            audio=f"{own}.wav", duration_s=about["duration_s"], onsets_s=data["onsets_s"],
            original_onsets_s=about["original_onsets_s"], measures=data["measures"], files=files,
            listed=data["listed"], settings=data["settings"], clip_name=about["name"], thumb=f"{own}.png", **paths,
        )  # fmt: skip
    return found


def every(history: History, visit: str) -> dict[str, Entry]:
    """All entries of a visit by id, oldest first."""
    entries = of_runs(history.runs(visit))
    for folder in sorted(history.folder(visit).glob("*-clip-*")):
        entries += of_folder(folder).values()
    return {entry.id: entry for entry in entries}


def pick(known: dict[str, Entry], ids: Sequence[str]) -> list[Entry]:
    """The entries with these ids; `InputError` unless they are FEWEST to MOST of one clip."""
    found = [known[each] for each in ids if each in known]
    if len(found) < len(ids):
        raise InputError("A chosen result is no longer on the server; choose another one.")
    if not FEWEST <= len(found) <= MOST:
        raise InputError(f"{len(found)} results are chosen; between {FEWEST} and {MOST} can be compared.")
    if len({entry.clip for entry in found}) > 1:
        raise InputError("These results belong to different clips or parts of a clip; choose results of one.")
    return found


def variant_hash(variant: Variant) -> str:
    settings = replace(variant.settings, start_s=0.0, length_s=None, takes=1).to_dict()
    return hashlib.sha256(json.dumps([settings, variant.defaults], sort_keys=True).encode()).hexdigest()[:16]


def folder_of(history: History, visit: str, clip: Path, settings: Settings) -> Path | None:
    """The folder of this part of this clip, if it exists and is new enough to be written to."""
    found = sorted(history.folder(visit).glob(f"*-clip-{_part_hash(clip, settings)}"))
    young = [path for path in found if time.time() - began(path) < history.keep_s / 2]
    return young[-1] if young else None


def rendering(
    engine, history: History, visit: str, clip: Path, variants: list[Variant], limits: Limits, listed: bool = True
) -> Callable[[Callable[[], bool]], Iterator]:
    """Work for a job: make the variants that are not on disk yet; the result is their folder."""

    def make(cancelled: Callable[[], bool]) -> Iterator:
        settings = variants[0].settings
        folder = folder_of(history, visit, clip, settings)
        if folder is None:
            folder = history.new_folder(visit, f"clip-{_part_hash(clip, settings)}")
            _prune(sorted(history.folder(visit).glob("*-clip-*")), MOST_CLIPS)
        there = of_folder(folder)
        missing = [variant for variant in variants if variant_hash(variant) not in there]
        for variant in variants if listed else ():
            if variant_hash(variant) in there:
                relabel(folder, variant_hash(variant), name=variant.name, listed=True)
        yield Progress("read")
        if not (folder / "clip.json").exists():
            try:
                _write_clip(folder, engine.pipeline(settings.model).timeline, clip, settings, limits, cancelled)
            except BaseException:
                history.drop(folder)
                raise
        if missing:
            with closing(work.render_on_device(engine, clip, missing, cancelled, limits)) as items:
                for item in items:
                    if isinstance(item, Rendered):
                        keep(folder, item, listed)
                    else:
                        yield item
        yield folder

    return make


def relabel(folder: Path, stem: str, **changes) -> None:
    """Change values in a variant's record."""
    path = folder / f"{stem}.variant"
    write_whole(path, json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}))


def keep(folder: Path, item: Rendered, listed: bool = True) -> None:
    """Write a finished variant."""
    from stav2a.ui.generate.class_match import class_match

    variant, measures = item.variant, dict(item.measures)
    if (match := class_match(variant.settings.prompt, item.waveform)) is not None:
        measures["class_match"] = match
    settings = variant.settings.to_dict() | ({"parts": variant.name} if variant.defaults else {})
    record = {
        "name": variant.name, "note": (variant.settings.prompt.strip() or "no caption")[:60],
        "onsets_s": item.onsets_s, "measures": measures, "listed": listed, "settings": settings,
    }  # fmt: skip
    store(folder, variant_hash(variant), item.waveform, item.sample_rate, record)


def store(folder: Path, stem: str, waveform: np.ndarray, sample_rate: int, record: dict) -> None:
    """Write a sound, float32 [S], and its record, which comes last: once it exists, all files do."""
    from stav2a.generation.figure import mel_of
    from stav2a.listening.stimuli import match_levels, write_stimulus
    from stav2a.media.audio import write_wav
    from stav2a.ui.widgets.player import write_mel

    own = folder / stem
    mel = mel_of(waveform, sample_rate)
    levelled = match_levels([waveform], sample_rate)
    write_wav(own.with_suffix(".wav"), waveform, sample_rate)
    write_stimulus(own.with_suffix(".listen.wav"), levelled.waveforms[0], sample_rate)
    write_mel(own.with_suffix(".png"), mel)
    np.save(own.with_suffix(".npy"), mel.astype(np.float16))
    write_whole(own.with_suffix(".variant"), json.dumps({**record, "own_db": round(-levelled.gains_db[0], 2)}))
    for old in _records(folder)[:-MOST_VARIANTS]:
        old.unlink(missing_ok=True)
        for path in folder.glob(f"{old.stem}.*"):
            path.unlink(missing_ok=True)


def _write_clip(folder: Path, timeline, clip: Path, settings: Settings, limits: Limits, cancelled) -> None:
    """The silent video and the original sound of the part, for playback with the variants."""
    from stav2a.media import mux, read_audio, read_for_model, write_wav
    from stav2a.sound.onsets import detect_onsets

    part, rate = (settings.start_s, settings.length_s), timeline.sample_rate
    duration_s = read_for_model(clip, timeline, *part, limits, cancelled).duration_s
    silence = np.zeros(1, np.float32)
    mux(clip, silence, rate, folder / "silent.mp4", "replace", 0.0, *part, limits, cancelled)
    original = read_audio(clip, rate, settings.start_s, duration_s, limits=limits, cancelled=cancelled)
    onsets_s = None
    if original is not None:
        write_wav(folder / "original.wav", original, rate)
        onsets_s = [float(t) for t in detect_onsets(original, rate)]
    about = {
        "clip": f"{clip_hash(clip)}-{settings.start_s:g}-{duration_s:.2f}", "duration_s": duration_s,
        "original": None if original is None else "original.wav", "original_onsets_s": onsets_s, "name": clip.name,
    }  # fmt: skip
    write_whole(folder / "clip.json", json.dumps(about))


def _records(folder: Path) -> list[Path]:
    """Oldest first, by the sound's time: a record may be rewritten."""
    return sorted(folder.glob("*.variant"), key=lambda path: path.with_suffix(".wav").stat().st_mtime_ns)


def _part_hash(clip: Path, settings: Settings) -> str:
    part = f"{clip_hash(clip)} {settings.start_s:g} {settings.length_s}"
    return hashlib.sha256(part.encode()).hexdigest()[:16]


def _prune(folders: list[Path], most: int) -> None:
    import shutil

    for folder in folders[:-most]:
        shutil.rmtree(folder, ignore_errors=True)
