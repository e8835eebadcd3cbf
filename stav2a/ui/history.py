"""The results of each visitor: one folder per run, within one folder per visit, and nothing else on disk.

A visit is a random token that the browser stores, so that a reloaded page finds its finished results. This server signs
it, so that it cannot be made up. Folders are named by a hash of it, so that a file's URL does not reveal the token and
with it the other results. `own_folder.py` defines what may be removed.

`Run` is the record of a finished generation: `gr.State` holds it and `run.json` stores it. It has no arrays, so that
memory does not grow with the number of visitors.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import logging
import re
import secrets
import shutil
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from stav2a.ui import own_folder
from stav2a.ui.own_folder import write_whole
from stav2a.ui.shares import Room
from stav2a.ui.widgets.figure_view import draw

if TYPE_CHECKING:
    from stav2a.generation.result import Result

log = logging.getLogger(__name__)

TOKEN = re.compile(r"([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{22})", re.ASCII)
RUNS_A_VISIT = 12
RUNS_IN_ALL = 240  # over all visits: each call of `/compare` is a new one
KEEP_S = 2 * 3600


@dataclass(frozen=True)
class StoredTake:
    """One take of a run: files, and the onsets detected in its audio."""

    seed: int
    video: str | None  # None for a sound without a clip
    audio: str
    onsets_s: list[float]
    figure: dict  # {"wide": path, "narrow": path, "alt": str, "duration_s": float}; empty until it is drawn
    measures: dict  # empty until it is measured


@dataclass(frozen=True)
class Run:
    """A finished generation, ready to be shown, compared or stored as JSON."""

    id: str
    label: str
    clip: str
    created: float
    settings: dict
    seed: int
    duration_s: float
    sample_rate: int
    start_s: float
    latent_frame_s: float
    onset_curve: list[float]
    predicted_onsets_s: list[float]
    onsets_s: list[float]
    original_onsets_s: list[float] | None
    takes: list[StoredTake]
    bundle: str | None
    seconds: float
    rtf: float
    stages: dict = field(default_factory=dict)
    original: str | None = None  # the clip's own sound, if it was read
    clip_key: str = ""  # hash of the clip's file
    thumb: str = ""  # image of the first take's mel-spectrogram
    layout: list | None = None  # rows of the audio layout that was used, if the system has one
    predicted_layout: list | None = None
    caption_source: str = "given"  # or where the caption in the settings comes from
    caption_note: str = ""
    seen: list[dict] = field(default_factory=list)  # captions from the built-in describer, with confidence
    reference: str | None = None  # file of the user's reference sound; `settings` only have its name
    exports: list[str] = field(default_factory=list)  # marker files

    def __hash__(self) -> int:
        """Gradio hashes the value of a `gr.State` to detect changes; dicts have no hash."""
        return hash((self.id, self.created))

    @classmethod
    def from_json(cls, data: dict) -> Run:
        data = {**data, "takes": [StoredTake(**take) for take in data["takes"]]}
        if "step_s" in data:  # what a run of an older version calls it
            data["latent_frame_s"] = data.pop("step_s")
        return cls(**data)


class History:
    """All visits of one server under `root`; thread-safe."""

    def __init__(
        self, root: Path, keep_s: float = KEEP_S, runs_a_visit: int = RUNS_A_VISIT, runs_in_all: int = RUNS_IN_ALL
    ):
        self.root, self.keep_s = Path(root), keep_s
        self.runs_a_visit, self.runs_in_all = runs_a_visit, runs_in_all
        self.room = Room(self.root)
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()

    def claim(self) -> History:
        """Mark `root` as a results folder (`own_folder.claim`), so that visits survive a restart."""
        self._key = own_folder.claim(self.root)
        return self

    def visit(self, token: object) -> str:
        """`token` if this server issued it, else a new one."""
        found = TOKEN.fullmatch(token) if isinstance(token, str) else None
        if found and hmac.compare_digest(found[2], self._signature(found[1])):
            return token
        name = secrets.token_urlsafe(16)
        return f"{name}.{self._signature(name)}"

    def _signature(self, name: str) -> str:
        digest = hmac.new(self._key, name.encode(), hashlib.sha256).digest()[:16]
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def folder(self, visit: str) -> Path:
        return self.root / hashlib.sha256(visit.encode()).hexdigest()[:24]

    def new_folder(self, visit: str, name: str | None = None) -> Path:
        """A new empty folder for a run of this visit; removes old results first."""
        self.sweep()
        self.room.check()
        folder = self.folder(visit) / f"{time.time_ns():016x}-{name or secrets.token_hex(4)}"
        with self._lock:
            folder.mkdir(parents=True)
        return folder

    def runs(self, visit: str) -> list[Run]:
        """Finished runs of this visit, oldest first; unreadable records are skipped."""
        found = []
        for path in sorted(self.folder(visit).glob("*/run.json")):
            try:
                found.append(Run.from_json(json.loads(path.read_text(encoding="utf-8"))))
            except FileNotFoundError:
                continue  # removed between listing and reading
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                log.warning("a run's record cannot be read and is passed over: %s: %s", path, error)
        return found

    def drop(self, folder: Path) -> None:
        """Remove the folder of a run that failed or was cancelled."""
        shutil.rmtree(folder, ignore_errors=True)
        with self._lock, contextlib.suppress(OSError):  # a visit with other runs is kept
            folder.parent.rmdir()

    def sweep(self) -> None:
        """Remove results that are too old or too many, see `own_folder.sweep`."""
        with self._lock:
            own_folder.sweep(self.root, self.keep_s, self.runs_a_visit, self.runs_in_all)


def _rows(layout) -> list[list[float]] | None:
    return None if layout is None else [[round(float(value), 4) for value in row] for row in layout]


def record(result: Result, folder: Path, clip_name: str = "") -> Run:
    """The record of `result`. Once that is measured, the record is written, and its figures are drawn into `folder`
    unless those of the run were left out.
    """
    settings = json.loads(result.settings.to_json())
    reference = settings["reference"]
    if reference is not None:  # show no paths of this machine
        settings["reference"] = Path(reference).name
    takes = [
        StoredTake(
            seed=int(take.seed),
            video=None if take.video is None else str(take.video),
            audio=str(take.audio),
            onsets_s=_numbers(take.onsets_s),
            figure={},
            measures=_measures(result, k),
        )
        for k, take in enumerate(result.takes)
    ]
    run = Run(
        id=folder.name,
        label=label(settings, int(result.seed)),
        clip=clip_name,
        created=time.time(),
        settings=settings,
        seed=int(result.seed),
        duration_s=float(result.duration_s),
        sample_rate=int(result.sample_rate),
        start_s=float(settings.get("start_s") or 0.0),
        latent_frame_s=float(result.latent_frame_s),
        onset_curve=[round(float(p), 4) for p in result.onset_curve],
        predicted_onsets_s=_numbers(result.predicted_onsets_s),
        onsets_s=_numbers(result.onsets_s),
        original_onsets_s=None if result.original_waveform is None else _numbers(result.original_onsets_s),
        takes=takes,
        bundle=None,
        seconds=float(result.seconds),
        rtf=float(result.rtf),
        stages={name: float(s) for name, s in result.stages.items()},
        clip_key=clip_hash(result.clip),
        layout=_rows(result.layout),
        predicted_layout=_rows(result.predicted_layout),
        caption_source=result.caption_source,
        caption_note=result.caption_note,
        seen=[suggestion.to_json() for suggestion in result.seen],
        reference=reference,
    )
    if result.measures:
        run = replace(run, **(_drawn(result, run, folder) if result.bundle else {}))
        write_whole(folder / "run.json", json.dumps(asdict(run)))
    return run


def _drawn(result: Result, run: Run, folder: Path) -> dict:
    """The fields of a run that name files which are written after the sound."""
    from stav2a.generation.figure import tracks
    from stav2a.media.audio import write_wav
    from stav2a.ui.widgets.player import write_mel

    original = None
    if result.original_waveform is not None:
        original = str(write_wav(folder / "original.wav", result.original_waveform, result.sample_rate))
    return {
        "takes": [
            replace(stored, figure=draw(tracks(result, k), folder, f"figure_{k + 1}", made.figure))
            for k, (stored, made) in enumerate(zip(run.takes, result.takes, strict=True))
        ],
        "original": original,
        "thumb": str(write_mel(folder / "thumb.png", result.takes[0].mel, height=48)),
        "bundle": str(result.bundle) if result.bundle else None,
        "exports": sorted(str(path) for pattern in ("*_onsets.*", "*.mkv") for path in folder.glob(pattern)),
    }


def clip_hash(path: Path | None) -> str:
    """Equal for files with equal content; empty without a clip."""
    if path is None:
        return ""
    state = Path(path).stat()
    return _hash(str(path), state.st_size, state.st_mtime_ns)


@lru_cache(256)
def _hash(path: str, size: int, changed_ns: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]


def label(settings: dict, seed: int) -> str:
    """A short name for a run in lists: caption, guidance, steps, seed."""
    prompt = (settings.get("prompt") or "no caption").strip()
    prompt = prompt if len(prompt) <= 40 else prompt[:39] + "…"
    return f"{prompt} · guidance {settings.get('guidance_scale')} · {settings.get('steps')} steps · seed {seed}"


def _numbers(values) -> list[float]:
    return [round(float(v), 4) for v in values or ()]


def _measures(result: Result, take: int) -> dict:
    """The measures of one take: `result.measures` is a list with one dict per take, or one dict for all."""
    measures = result.measures
    if isinstance(measures, (list, tuple)):
        measures = measures[take] if take < len(measures) else {}
    return {name: value for name, value in (measures or {}).items() if isinstance(value, (int, float))}
