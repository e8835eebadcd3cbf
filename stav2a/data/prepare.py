"""Videos or sounds, and captions -> shards of training clips: cut, filtered (paper §III-A), labelled (eq. 1), encoded.

Shard `k` holds what became of sources k * per_shard .. (k + 1) * per_shard, and one process makes it, so the
bytes are the same for any number of workers. A shard appears when it is complete; a stopped run continues with the
missing ones. Every skipped clip is listed with its reason.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from stav2a.media.audio import read_audio
from stav2a.media.frames import read_for_model
from stav2a.media.limits import InputError, Limits
from stav2a.media.probe import probe
from stav2a.media.sound_files import is_sound_file, read_sound, sound_duration_s
from stav2a.metrics.clap_score import ClapScore
from stav2a.metrics.classifier import Unavailable
from stav2a.metrics.flow import read_flow
from stav2a.models.hub_describer import hub_describer
from stav2a.presets import timeline_of
from stav2a.sound.onsets import HEARD_AFTER_S, SILENCE_DB, detect_onsets
from stav2a.timeline import Timeline

from .encoder import FrameEncoder
from .filters import LEAST_AV_ALIGN, clip_av_align, judge
from .foleyworld.world import FoleyWorld
from .listing import MediaSource, fingerprint
from .shards import ShardClip, index_of, write_shard
from .splits import Splits, draw_validation

LONG = Limits(duration_s=24 * 3600.0, frames=10**7, file_mb=1e6)  # whole films are cut, not refused


@dataclass(frozen=True)
class PrepareSettings:
    """Settings of the preparation, stored in dataset.json. A folder has clips of one setting only."""

    model: str = "compact"  # its timeline gives rates, sizes and lengths
    parts: str = ""  # folder with a trained video_encoder: its features are kept with the clips
    least_s: float = 1.0  # shorter rests of a video are left out
    least_av_align: float = LEAST_AV_ALIGN
    keep_filtered: bool = False  # keep what the filters refuse, marked: the row "w/o Filter" of Table III
    detector: str = "librosa"  # of the onset pseudo-labels
    fps: float | None = None  # video frame rate, if not the model's
    frame_size: int | None = None  # frame size in pixels, if not the model's
    sound_only: bool = False  # keep only the sound of videos, for text-to-audio
    keep_speech: bool = False  # keep clips whose captions mention speech
    least_clap: float = 0.0  # least CLAP score of sound and caption; 0: no filter
    clap_model: str = ""  # CLAP's repository or folder; empty: the usual one
    per_shard: int = 64  # sources, not clips
    describer: str = ""  # vision-language model of the hub that captions what has no caption
    world: dict | None = None  # options of FoleyWorld, where clips are rendered instead of read

    @property
    def timeline(self) -> Timeline:
        return timeline_of(self.model, self.fps, self.frame_size)


@dataclass(frozen=True)
class Rendered:
    """A clip of FoleyWorld as a source."""

    index: int
    split: str
    caption: str = ""
    start_s: float = 0.0
    duration_s: float | None = None
    trouble: str = ""

    @property
    def name(self) -> str:
        return f"foleyworld/{self.split}/{self.index}"


class Maker:
    """Sources -> clips, in one process."""

    def __init__(self, settings: PrepareSettings):
        import torch

        torch.set_num_threads(1)  # sums in one order: the same features for any number of workers
        cv2.setNumThreads(1)
        self.settings, self.timeline = settings, settings.timeline
        self.encoder = FrameEncoder(settings.parts) if settings.parts else None
        self.clap = clap_of(settings)
        self.describe = hub_describer(settings.describer) if settings.describer else None
        self.world = FoleyWorld(**settings.world) if settings.world else None

    def clips(self, number: int, source: MediaSource | Rendered, report: list[dict]) -> Iterator[ShardClip]:
        """The clips of source `number`; what gives none gets a line in `report` with the reason."""
        try:
            if source.trouble:
                raise InputError(source.trouble)
            made = self._rendered(source) if isinstance(source, Rendered) else self._read(source, report)
            for k, (frames, waveform, note) in enumerate(made):
                if note["reason"] and not self.settings.keep_filtered:
                    report.append({"source": source.name, "start_s": note["start_s"], "reason": note["reason"]})
                    continue
                note = {"source": source.name, "split": source.split, **note}
                features = self.encoder(frames) if self.encoder and frames is not None else None
                key = f"{number:07d}_{k:03d}"
                yield ShardClip(key, frames, waveform, self.timeline.sample_rate, {"key": key, **note}, features)
        except Exception as error:  # any file of thousands may be broken in any way; it is reported, not raised
            said = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            report.append({"source": source.name, "start_s": source.start_s, "reason": said.splitlines()[0][:300]})

    def _rendered(self, source: Rendered) -> Iterator[tuple]:
        sample = self.world[source.index]
        onsets_s = [round(time + HEARD_AFTER_S, 4) for time in sample.onsets_s]
        note = {"start_s": 0.0, "duration_s": self.world.duration_s, "caption": sample.caption, "reason": ""}
        yield sample.frames, sample.waveform, {**note, "onsets_s": onsets_s, "av_align": None, "cls": sample.cls}

    def _read(self, source: MediaSource, report: list[dict]) -> Iterator[tuple]:
        path, timeline, settings = Path(source.path), self.timeline, self.settings
        if not path.is_file():
            raise InputError("There is no such file.")
        sees = not (settings.sound_only or is_sound_file(path))
        flow: list = []  # of the whole video, computed once and only if a filter needs it
        info = probe(path, LONG) if sees else None
        first_s = info.start_s if info else 0.0
        for start_s, length_s in self._pieces(info.duration_s if info else sound_duration_s(path), source):
            waveform = self._waveform(path, sees, timeline.sample_rate, start_s, length_s)
            if np.abs(waveform).max() < 10 ** (SILENCE_DB / 20):
                report.append({"source": source.name, "start_s": start_s, "reason": "The sound is silent."})
                continue
            caption = source.caption
            if not caption and self.describe and sees:
                caption = self.describe(path, start_s, length_s)

            def in_time(start_s=start_s, length_s=length_s, waveform=waveform) -> float:
                if not flow:
                    flow.extend(read_flow(path))
                magnitude, fps = flow
                begin, end = (max(0, round((time - first_s) * fps)) for time in (start_s, start_s + length_s))
                part = magnitude[begin:end]
                return clip_av_align(waveform, timeline.sample_rate, part, fps)

            def alike(start_s=start_s, length_s=length_s, caption=caption) -> float:
                return self.clap(self._waveform(path, sees, self.clap.sample_rate, start_s, length_s), caption)

            verdict = judge(
                caption,
                in_time if sees else None,
                settings.least_av_align,
                alike if self.clap else None,
                settings.least_clap,
                settings.keep_speech,
            )
            note = {
                "start_s": round(start_s, 4),
                "duration_s": round(length_s, 4),
                "caption": caption,
                "reason": verdict.reason,
                "av_align": None if verdict.av_align is None else round(verdict.av_align, 4),
                "clap": None if verdict.clap is None else round(verdict.clap, 4),
            }
            if not verdict.keep and not settings.keep_filtered:
                yield None, None, note  # refused: its pictures need not be read
                continue
            frames = read_for_model(path, timeline, start_s, length_s, LONG).frames if sees else None
            onsets_s = detect_onsets(waveform, timeline.sample_rate, settings.detector) if sees else ()
            yield frames, waveform, {**note, "onsets_s": [round(float(t), 4) for t in onsets_s]}

    def _waveform(self, path: Path, sees: bool, sample_rate: int, start_s: float, length_s: float) -> np.ndarray:
        """float32 [S]; a video's sound begins where its picture does."""
        if not sees:
            return read_sound(path, sample_rate, start_s, length_s)
        waveform = read_audio(path, sample_rate, start_s, length_s, limits=LONG)
        if waveform is None:
            raise InputError("The video has no sound.")
        return waveform

    def _pieces(self, duration_s: float, source: MediaSource) -> list[tuple[float, float]]:
        """(start, length) of pieces of one video window each; a rest that is too short is left out."""
        stop = duration_s if source.duration_s is None else min(duration_s, source.start_s + source.duration_s)
        if stop - source.start_s < self.settings.least_s:
            raise InputError(
                f"Only {stop - source.start_s:.2f} s are there; at least {self.settings.least_s:g} s are needed."
            )
        window, pieces, start = self.timeline.video_window_s, [], source.start_s
        while stop - start >= self.settings.least_s:
            pieces.append((start, min(window, stop - start)))
            start += window
        return pieces


def prepare(
    out: str | Path,
    sources: list,
    settings: PrepareSettings,
    workers: int = 1,
    digest: str | None = None,
    validation: float = 0.0,
) -> Iterator[tuple[int, int]]:
    """Write the shards of `sources` to `out`; yields (shards done, all shards). Splits and the report come last.

    validation: share of the accepted sources without a split of their own that is kept apart.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    clap_of(settings)  # a missing network is reported before processes start
    if settings.describer:
        _ = hub_describer(settings.describer).parts
    described = {
        "settings": {k: v for k, v in asdict(settings).items() if k != "parts"},
        "timeline": settings.timeline.to_dict(),
        "features": FrameEncoder(settings.parts).digest if settings.parts else None,
        "sources": fingerprint(sources) if digest is None else digest,
    }
    described = json.loads(json.dumps(described))
    file = out / "dataset.json"
    if file.is_file() and json.loads(file.read_text()) != described:
        raise ValueError(f"{out} holds clips of another list or of other settings; choose another folder.")
    file.write_text(json.dumps(described, indent=1, sort_keys=True))

    size = settings.per_shard
    jobs = [
        (out / f"shard-{k // size:05d}.tar", k, sources[k : k + size])
        for k in range(0, len(sources), size)
        if not index_of(out / f"shard-{k // size:05d}.tar").is_file()
    ]
    total = -(-len(sources) // size)
    done = total - len(jobs)
    yield done, total
    if workers <= 1:
        maker = Maker(settings)
        for job in jobs:
            _shard(maker, *job)
            yield (done := done + 1), total
    else:
        with ProcessPoolExecutor(min(workers, max(len(jobs), 1)), get_context("spawn"), _begin, (settings,)) as pool:
            for task in as_completed([pool.submit(_work, *job) for job in jobs]):
                task.result()
                yield (done := done + 1), total
    draw_validation(out, validation)
    write_report(out, len(sources))


def clap_of(settings: PrepareSettings) -> ClapScore | None:
    """The network of the CLAP filter, if it is used; `ValueError` says why it is not available."""
    if not settings.least_clap:
        return None
    try:
        return ClapScore(settings.clap_model)
    except Unavailable as error:
        raise ValueError(str(error)) from error


def _shard(maker: Maker, target: Path, first: int, sources: list) -> None:
    report: list[dict] = []
    write_shard(target, (clip for k, s in enumerate(sources) for clip in maker.clips(first + k, s, report)), report)


MAKER: Maker | None = None  # of a worker process


def _begin(settings: PrepareSettings) -> None:
    global MAKER
    MAKER = Maker(settings)


def _work(target: Path, first: int, sources: list) -> None:
    assert MAKER is not None
    _shard(MAKER, target, first, sources)


def write_report(out: Path, sources: int) -> dict:
    """skipped.csv (source, start_s, reason) and summary.json; returns the summary."""
    skipped = [json.loads(line) for shard in sorted(out.glob("shard-*.skipped.jsonl")) for line in shard.open()]
    with (out / "skipped.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ("source", "start_s", "reason"), lineterminator="\n")
        table.writeheader()
        table.writerows(skipped)
    clips = [json.loads(line)["clip"] for shard in sorted(out.glob("shard-*.index.jsonl")) for line in shard.open()]
    splits = Splits(out)
    reasons = Counter(kind_of(line["reason"]) for line in skipped)
    summary = {
        "sources": sources,
        "clips": len(clips),
        "hours": round(sum(clip["duration_s"] for clip in clips) / 3600, 4),
        "splits": dict(sorted(Counter(map(splits.of, clips)).items())),
        "marked": sum(bool(clip["reason"]) for clip in clips),
        "skipped": dict(sorted(reasons.items())),
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=1))
    return summary


def kind_of(reason: str) -> str:
    """A reason without its numbers, for counting."""
    return next((f"{score} is too low" for score in ("AV-Align", "CLAP") if reason.startswith(score)), reason)
