"""One pair's share of an evaluation, in a worker process, kept on disk so that an interrupted run resumes."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from stav2a.metrics.classifier import Tagger, kl_divergence, load_tagger
from stav2a.metrics.clip_scores import score_sounds
from stav2a.metrics.flow import flow_peaks
from stav2a.metrics.onsets import resample
from stav2a.metrics.pairs import Pair, read_flow, read_sound

RECORD_VERSION = 2


@dataclass(frozen=True)
class Plan:
    """What is computed for every pair; part of what identifies a stored result."""

    networks: tuple[str, ...] = ("bank",)
    clap: bool = False
    pam: bool = False
    trials: int = 20
    seed: int = 0
    cache: str = ""  # folder of stored results


@dataclass
class Record:
    """What one pair gave; `error` is the reason where it gave nothing."""

    stem: str
    error: str = ""
    remarks: list[str] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)
    inside: dict[str, float] = field(default_factory=dict)
    trials: dict[str, list[float]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)  # "<network>_reference_embeddings" and so on


_models: dict[str, object] = {}  # of this process


def prepare(plan: Plan) -> None:
    """Start a worker: one thread each, because there are as many workers as cores."""
    import torch

    torch.set_num_threads(1)
    for name in plan.networks:
        _models[name] = load_tagger(name)
    if plan.clap or plan.pam:
        from stav2a.metrics.clap_score import ClapScore, Pam

        if plan.clap:
            _models["clap"] = ClapScore()
        if plan.pam:
            _models["pam"] = Pam()


def measure_pair(pair: Pair, plan: Plan) -> Record:
    """Scores of a pair, from the store where they are; a file that cannot be used becomes `error`."""
    store = Path(plan.cache) / "pairs" / f"{_identity(pair, plan)}.npz" if plan.cache else None
    if store and store.is_file():
        stored = _read(store)
        if stored is not None:
            return stored
    try:
        record = _measure(pair, plan)
    except Exception as error:  # any file of thousands may be broken in any way; it is reported, not raised
        return Record(pair.stem, error=f"{type(error).__name__}: {error}".splitlines()[0][:300])
    if store:
        _write(store, record)
    return record


def _measure(pair: Pair, plan: Plan) -> Record:
    record = Record(pair.stem)
    with _Clock(record.seconds, "read"):
        reference, rate_r, remarks_r = read_sound(pair.reference)
        generated, rate_g, remarks_g = read_sound(pair.generated)
    record.remarks += [f"reference: {text}" for text in remarks_r] + [f"generated: {text}" for text in remarks_g]

    flow = None
    if pair.video:
        with _Clock(record.seconds, "flow"):
            try:
                magnitude, fps = stored_flow(pair.video, plan.cache)
                flow = (flow_peaks(magnitude, fps), fps)
            except Exception as error:  # a broken video leaves the sound's scores standing
                record.remarks.append(f"video: {error}")
    with _Clock(record.seconds, "alignment"):
        scores = score_sounds((reference, rate_r), (generated, rate_g), plan.trials, plan.seed, flow)
    record.scores, record.inside, record.trials = scores.scores, scores.inside, scores.trials
    record.remarks += scores.remarks

    reference = reference[: round(scores.duration_s * rate_r)]
    generated = generated[: round(scores.duration_s * rate_g)]
    for name in plan.networks:
        with _Clock(record.seconds, name):
            _tag(record, _models[name], (reference, rate_r), (generated, rate_g))
    if pair.cls and "bank_generated_probabilities" in record.arrays:
        _caption_control(record, pair.cls)
    if plan.clap and pair.caption:
        with _Clock(record.seconds, "clap"):
            clap = _models["clap"]
            record.scores["clap"] = clap(resample(generated, rate_g, clap.sample_rate), pair.caption)
            record.scores["clap_reference"] = clap(resample(reference, rate_r, clap.sample_rate), pair.caption)
    if plan.pam:
        with _Clock(record.seconds, "pam"):
            pam = _models["pam"]
            record.scores["pam"] = pam(resample(generated, rate_g, pam.sample_rate))
            record.scores["pam_reference"] = pam(resample(reference, rate_r, pam.sample_rate))
    return record


def _tag(record: Record, tagger: Tagger, reference, generated) -> None:
    probabilities = {}
    for side, (waveform, rate) in (("reference", reference), ("generated", generated)):
        embeddings, classes = tagger.describe(resample(waveform, rate, tagger.sample_rate))
        record.arrays[f"{tagger.name}_{side}_embeddings"] = np.asarray(embeddings, np.float32)
        if classes is not None:
            probabilities[side] = record.arrays[f"{tagger.name}_{side}_probabilities"] = np.asarray(classes)
    if probabilities:
        record.scores[f"kl_{tagger.name}"] = kl_divergence(probabilities["reference"], probabilities["generated"])


def _caption_control(record: Record, cls: str) -> None:
    from stav2a.metrics.bank_classifier import known_classes, rank_of

    classes = known_classes()
    if cls not in classes:
        record.remarks.append(f"class {cls} is none of the bank classifier's")
        return
    for side, ending in (("generated", ""), ("reference", "_reference")):
        rank = rank_of(record.arrays[f"bank_{side}_probabilities"], classes, cls)
        record.scores[f"class_top1_bank{ending}"] = float(rank <= 1)
        record.scores[f"class_top5_bank{ending}"] = float(rank <= 5)


def stored_flow(video: Path, cache: str) -> tuple[np.ndarray, float]:
    """Flow magnitude and fps of a video, computed once: it takes longer than everything else together."""
    store = Path(cache) / "flow" / f"{_digest([_stamp(video)])}.npz" if cache else None
    if store and store.is_file():
        with np.load(store) as data:
            return data["magnitude"], float(data["fps"])
    magnitude, fps = read_flow(video)
    if store:
        _save(store, magnitude=magnitude, fps=fps)
    return magnitude, fps


def _identity(pair: Pair, plan: Plan) -> str:
    """Changes when a file, the caption, the settings or the form of the records change."""
    settings = {k: v for k, v in asdict(plan).items() if k != "cache"}
    files = [_stamp(path) for path in (pair.reference, pair.generated, pair.video) if path]
    return _digest([RECORD_VERSION, settings, files, pair.caption, pair.cls])


def _stamp(path: Path) -> list:
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]


def _digest(value) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=12).hexdigest()


def _write(store: Path, record: Record) -> None:
    fields = {k: v for k, v in asdict(record).items() if k != "arrays"}
    _save(store, record=np.array(json.dumps(fields)), **record.arrays)


def _save(store: Path, **arrays) -> None:
    store.parent.mkdir(parents=True, exist_ok=True)
    part = store.with_suffix(".part.npz")
    np.savez(part, **arrays)
    part.replace(store)  # appears whole or not at all


def _read(store: Path) -> Record | None:
    try:
        with np.load(store) as data:
            arrays = {name: data[name] for name in data.files if name != "record"}
            return Record(**json.loads(str(data["record"])), arrays=arrays)
    except (OSError, ValueError, KeyError, TypeError, BadZipFile):  # cut off or of another version: computed again
        return None


class _Clock:
    """Adds wall seconds of a part to `seconds[name]`, and its processor time to `seconds["processor"]`."""

    def __init__(self, seconds: dict[str, float], name: str):
        self.seconds, self.name = seconds, name

    def __enter__(self) -> None:
        self.start, self.busy = time.perf_counter(), time.process_time()

    def __exit__(self, *_) -> None:
        self.seconds[self.name] = self.seconds.get(self.name, 0.0) + time.perf_counter() - self.start
        self.seconds["processor"] = self.seconds.get("processor", 0.0) + time.process_time() - self.busy
