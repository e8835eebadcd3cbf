"""The result of a run: takes, measures and files. The files appear together or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import uuid
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stav2a.generation.settings import Settings
from stav2a.media.limits import InputError

if TYPE_CHECKING:
    from stav2a.condition.image_features import Suggestion

STALE_S = 3600.0  # no run writes that long
EDGES_S = 1.0  # shorter clips have no room for chance levels, which leave out 0.2 s at both ends


@dataclass(frozen=True)
class Take:
    """One variant. waveform: float32 [S]; mel: natural-log mel [M, bins]; onsets heard in it, in seconds.

    credits: of the recordings that it is made of or from, a line each.
    """

    seed: int
    video: Path | None
    audio: Path
    waveform: np.ndarray
    mel: np.ndarray
    onsets_s: list[float]
    figure: Path | None = None
    credits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """A run whose sound can be played. Times count from the start of the used part.

    Until it is measured, it has no `measures` (a dict a take), and bundle, figures and exports are not written yet.
    `settings` are complete: the checkpoint's defaults are filled in. `stages` are seconds by stage; `seconds`
    leaves out loading the model and waiting for the device, `playable_s` is how many of them passed until the sound and
    the clip with it were written. `dtype`: what the networks computed in. `original_…` is None without an original
    sound. `layout` and `predicted_layout`: float32 [rows, bands], the audio layout that was used, and the predicted one
    (TiVA). `caption_source` says where the caption in `settings` comes from (`describe.Caption`), `seen`: all
    suggestions of the built-in describer.
    """

    clip: Path | None
    settings: Settings
    seed: int
    takes: list[Take]
    onset_curve: np.ndarray
    predicted_onsets_s: list[float]
    onsets_s: list[float]
    original_waveform: np.ndarray | None
    original_onsets_s: list[float] | None
    duration_s: float
    sample_rate: int
    latent_frame_s: float
    seconds: float = 0.0
    rtf: float = 0.0
    playable_s: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    measures: list[dict[str, float]] = field(default_factory=list)
    bundle: Path | None = None
    dtype: str = "float32"
    layout: np.ndarray | None = None
    predicted_layout: np.ndarray | None = None
    caption_source: str = "given"
    seen: tuple[Suggestion, ...] = ()
    caption_note: str = ""

    def to_json(self) -> dict:
        """The object that the command line prints: the first take at the top level, all of them in `takes`."""
        takes = [
            {
                "seed": take.seed,
                "video": None if take.video is None else str(take.video),
                "audio": str(take.audio),
                "figure": None if take.figure is None else str(take.figure),
                "generated_onsets_s": rounded(take.onsets_s),
                "measures": measures,
                "credits": list(take.credits),
            }
            for take, measures in zip(self.takes, self.measures, strict=True)
        ]
        return {
            "clip": None if self.clip is None else str(self.clip),
            "out_video": takes[0]["video"],
            "out_audio": takes[0]["audio"],
            "duration_s": round(self.duration_s, 6),
            "sample_rate": self.sample_rate,
            "seed": self.seed,
            "steps": self.settings.steps,
            "guidance": self.settings.guidance_scale,
            "caption": self.settings.prompt,
            "caption_source": self.caption_source,
            "caption_note": self.caption_note,
            "seen": [suggestion.to_json() for suggestion in self.seen],
            "onsets_s": rounded(self.onsets_s),
            "predicted_onsets_s": rounded(self.predicted_onsets_s),
            "seconds": round(self.seconds, 4),
            "playable_s": round(self.playable_s, 4),
            "rtf": round(self.rtf, 4),
            "stages": {name: round(value, 4) for name, value in self.stages.items()},
            "measures": self.measures[0],
            "takes": takes,
            "bundle": None if self.bundle is None else str(self.bundle),
            "dtype": self.dtype,
            "settings": self.settings.to_dict(),
        }

    def onsets_json(self) -> str:
        """Onsets and their curve, in the form that `--onsets` reads."""
        data = {
            "onsets_s": rounded(self.onsets_s),
            "predicted_onsets_s": rounded(self.predicted_onsets_s),
            "generated_onsets_s": [rounded(take.onsets_s) for take in self.takes],
            "original_onsets_s": None if self.original_onsets_s is None else rounded(self.original_onsets_s),
            "onset_curve": rounded(self.onset_curve),
            "step_s": self.latent_frame_s,
            "duration_s": round(self.duration_s, 6),
            "start_s": self.settings.start_s,
        }
        return json.dumps(data, indent=1)


def usable(waveform: np.ndarray) -> np.ndarray:
    """The waveform. `InputError` if it has values that are not finite, as with extreme settings."""
    if not np.isfinite(waveform).all():
        raise InputError("The model gave no usable sound with these settings; lower the guidance scale.")
    return waveform


def measure(
    waveform: np.ndarray,
    sample_rate: int,
    onsets_s: Sequence[float],
    followed_s: Sequence[float],
    duration_s: float,
    original_onsets_s: Sequence[float] | None = None,
    flow_peaks_s: np.ndarray | None = None,
    fps: float = 25.0,
) -> dict[str, float]:
    """Measures of one take, without those that do not apply (too short, silent, no original).

    onsets_s, original_onsets_s: as `detect_onsets` finds them in the waveform and in the original sound
    """
    from stav2a.media.audio import loudness_lufs
    from stav2a.metrics import alignment
    from stav2a.metrics.chance import gain_over_chance

    values = {"onset_f1": alignment.onset_f1(followed_s, onsets_s)}
    if duration_s >= EDGES_S and len(followed_s) and len(onsets_s):
        values["onset_f1_gain"] = gain_over_chance(followed_s, onsets_s, duration_s, trials=50).gain
    if original_onsets_s is not None:
        values["aa_align"] = alignment.aa_align(original_onsets_s, onsets_s)
    if flow_peaks_s is not None:
        values["av_align"] = alignment.av_align(onsets_s, flow_peaks_s, fps)
    values["loudness_lufs"] = loudness_lufs(waveform, sample_rate)
    return {name: round(float(value), 4) for name, value in values.items() if np.isfinite(value)}


class Folder:
    """Files that are written where nobody sees them, and then move to `out_dir`."""

    def __init__(self, out_dir: Path):
        self.out_dir, self.hidden = out_dir, out_dir / f".partial-{uuid.uuid4().hex}"
        self.shown: list[Path] = []

    def show(self) -> None:
        """Move what is written so far."""
        for path in sorted(self.hidden.iterdir()):
            os.replace(path, self.out_dir / path.name)
            self.shown.append(self.out_dir / path.name)

    def files(self) -> list[Path]:
        return sorted([*self.shown, *self.hidden.iterdir()], key=lambda path: path.name)


@contextlib.contextmanager
def written_together(out_dir: Path) -> Iterator[Folder]:
    """Its files are in `out_dir` at the end. On failure none of them is, not even those that were shown before."""
    _sweep(out_dir)
    made = [folder for folder in (out_dir, *out_dir.parents) if not folder.exists()]
    out_dir.mkdir(parents=True, exist_ok=True)
    folder = Folder(out_dir)
    try:
        folder.hidden.mkdir()
        yield folder
        folder.show()
        folder.hidden.rmdir()
    except BaseException:
        for path in folder.shown:
            path.unlink(missing_ok=True)
        shutil.rmtree(folder.hidden, ignore_errors=True)
        for each in made:  # from the innermost; one that another run has begun to use stays
            with contextlib.suppress(OSError):
                each.rmdir()
        raise


def _sweep(out_dir: Path) -> None:
    """Remove hidden folders of processes that were killed."""
    for left in out_dir.glob(".partial-*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE_S:
                shutil.rmtree(left)


def write_bundle(path: Path, files: Sequence[Path]) -> None:
    """A zip of `files`, the same bytes for the same content."""
    with zipfile.ZipFile(path, "w") as bundle:
        for file in files:
            entry = zipfile.ZipInfo(file.name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            packed = file.suffix in (".mp4", ".mkv", ".png")
            entry.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            bundle.writestr(entry, file.read_bytes())


def rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 4) for value in values]
