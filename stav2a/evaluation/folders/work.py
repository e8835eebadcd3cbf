"""Measure one pair in a worker process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from stav2a.evaluation.folders.pairs import Pair, read_sound
from stav2a.evaluation.folders.store import identity, read_record, stamp, stored_flow, write_record
from stav2a.metrics.classifier import Tagger, kl_divergence, load_tagger
from stav2a.metrics.clip_scores import score_sounds
from stav2a.metrics.flow import flow_peaks
from stav2a.sound.onsets import resample


@dataclass(frozen=True)
class Plan:
    """What is computed for every pair; part of what identifies a stored result."""

    networks: tuple[str, ...] = ("bank",)
    clap: bool = False
    pam: bool = False
    clap_model: str = ""  # repository or folder of both; empty: the usual one
    align: str = ""  # checkpoint with the classifier of Align Acc; empty: not asked
    cavp: str = ""  # folder of parts with CAVP's two encoders; empty: not asked
    cavp_model: str = "compact"  # the size whose rates they were trained at
    seconds: float | None = None  # of every clip, from its beginning; None: all of it
    trials: int = 20
    seed: int = 0
    cache: str = ""  # folder of stored results


@dataclass
class Record:
    """Measures of a pair. `error`: why there are none; `failures`: names of the parts that failed."""

    stem: str
    error: str = ""
    failures: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)
    inside: dict[str, float] = field(default_factory=dict)
    trials: dict[str, list[float]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)  # "<network>_reference_embeddings" and so on
    series: dict[str, np.ndarray] = field(default_factory=dict)  # of `ClipScores`


_models: dict[str, object] = {}  # of this process


def prepare(plan: Plan) -> None:
    """Start a worker: one thread each, because there are as many workers as cores."""
    import torch

    torch.set_num_threads(1)
    for name in plan.networks:
        _models[name] = load_tagger(name)
    if plan.clap or plan.pam:
        from stav2a.metrics.clap_score import ClapScore, Pam

        _models["clap"] = clap = ClapScore(plan.clap_model)
        _models["pam_laion"] = Pam(clap)
    if plan.align:
        from stav2a.evaluation.folders.align_acc import AlignAcc

        _models["align"] = AlignAcc(plan.align)
    if plan.cavp:
        from stav2a.evaluation.folders.cavp_score import CAVPScore

        _models["cavp"] = CAVPScore(plan.cavp, plan.cavp_model)


def measure_pair(pair: Pair, plan: Plan) -> Record:
    """Scores of a pair, from the store where they are; a file that cannot be used becomes `error`."""
    try:
        store = Path(plan.cache) / "pairs" / f"{identity(pair, settings_of(plan))}.npz" if plan.cache else None
        if store and store.is_file() and (stored := read_record(store, Record)) is not None:
            return stored
        record = _measure(pair, plan)
    except Exception as error:  # any file of thousands may be broken in any way; it is reported, not raised
        return Record(pair.stem, error=_said(error))
    if store and not record.failures:  # what failed is tried again by the next run
        write_record(store, record)
    return record


def settings_of(plan: Plan) -> dict:
    """The plan, and which weights the built-in network has."""
    from stav2a.metrics.bank_classifier import ASSETS

    weights = ASSETS / "model.safetensors"
    built_in = stamp(weights) if "bank" in plan.networks and weights.is_file() else []
    return {**{k: v for k, v in asdict(plan).items() if k != "cache"}, "built_in": built_in}


def _measure(pair: Pair, plan: Plan) -> Record:
    record = Record(pair.stem)
    with _Clock(record.seconds, "read"):
        reference, rate_r, remarks_r = read_sound(pair.reference)
        generated, rate_g, remarks_g = read_sound(pair.generated)
        if plan.seconds:
            reference, generated = reference[: round(plan.seconds * rate_r)], generated[: round(plan.seconds * rate_g)]
    record.remarks += [f"reference: {text}" for text in remarks_r] + [f"generated: {text}" for text in remarks_g]

    flow = None
    if pair.video:
        flow = _tried(record, "flow", lambda: _flow(pair.video, plan.cache, plan.seconds))
    with _Clock(record.seconds, "alignment"):
        scores = score_sounds((reference, rate_r), (generated, rate_g), plan.trials, plan.seed, flow)
    record.scores, record.inside, record.trials = scores.scores, scores.inside, scores.trials
    record.series = scores.series
    record.remarks += scores.remarks

    sounds = {
        "reference": (reference[: round(scores.duration_s * rate_r)], rate_r),
        "generated": (generated[: round(scores.duration_s * rate_g)], rate_g),
    }
    for name in plan.networks:
        _tried(record, name, lambda name=name: _tag(record, _models[name], sounds))
    if pair.cls and "bank_generated_probabilities" in record.arrays:
        _caption_control(record, pair.cls)
    if plan.clap and pair.caption:
        _tried(record, "clap", lambda: _judge(record, "clap", sounds, pair.caption))
    if plan.pam:
        _tried(record, "pam", lambda: _judge(record, "pam_laion", sounds))
    if plan.align and pair.video:
        _tried(record, "align", lambda: _with_video(record, "align", pair.video, sounds, plan))
    if plan.cavp and pair.video:
        _tried(record, "cavp", lambda: _with_video(record, "cavp", pair.video, sounds, plan))
    return record


def _tried(record: Record, name: str, work: Callable):
    """`work()`, timed; a network or video that fails on one clip leaves the clip's other scores standing."""
    with _Clock(record.seconds, name):
        try:
            return work()
        except Exception as error:  # reported with the file's name, like a file that cannot be read
            record.failures.append(f"{name}: {_said(error)}")
            return None


def _said(error: Exception) -> str:
    lines = f"{type(error).__name__}: {error}".splitlines()
    return lines[0][:300]


def _flow(video: Path, cache: str, seconds: float | None) -> tuple[np.ndarray, float]:
    magnitude, fps = stored_flow(video, cache)
    if seconds:
        magnitude = magnitude[: round(seconds * fps)]
    return flow_peaks(magnitude, fps), fps


def _tag(record: Record, tagger: Tagger, sounds: dict[str, tuple[np.ndarray, int]]) -> None:
    found: dict[str, np.ndarray] = {}
    for side, (waveform, rate) in sounds.items():
        embeddings, classes = tagger.describe(resample(waveform, rate, tagger.sample_rate))
        found[f"{tagger.name}_{side}_embeddings"] = np.asarray(embeddings, np.float32)
        if classes is not None:
            found[f"{tagger.name}_{side}_probabilities"] = np.asarray(classes)
    if not all(len(values) and np.isfinite(values).all() for values in found.values()):
        raise ValueError("the network's answer is empty or not finite")
    record.arrays |= found  # both sides or none
    sides = [found.get(f"{tagger.name}_{side}_probabilities") for side in ("reference", "generated")]
    if sides[0] is not None:
        record.scores[f"kl_{tagger.name}"] = kl_divergence(*sides)


def _judge(record: Record, name: str, sounds: dict[str, tuple[np.ndarray, int]], *caption: str) -> None:
    """CLAP score of both sounds; the reference's shows what a real sound reaches."""
    model = _models[name]
    for side, ending in (("generated", ""), ("reference", "_reference")):
        waveform, rate = sounds[side]
        record.scores[name + ending] = model(resample(waveform, rate, model.sample_rate), *caption)


def _with_video(record: Record, name: str, video: Path, sounds: dict[str, tuple[np.ndarray, int]], plan: Plan) -> None:
    """Scores of both sounds by a network that also takes the video. The chance level is that of rolls in time."""
    model = _models[name]
    waveform, rate = sounds["generated"]
    features = model.encode_video(video, len(waveform) / rate)
    for side, ending in (("generated", ""), ("reference", "_reference")):
        waveform, rate = sounds[side]
        trials = 0 if ending else plan.trials
        scores, rolled = model(features, resample(waveform, rate, model.sample_rate), trials, plan.seed)
        record.scores |= {f"{score}{ending}": value for score, value in scores.items()}
        if not ending:
            *_, timed = scores
            record.inside[timed], record.trials[timed] = scores[timed], rolled.tolist()


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


class _Clock:
    """Adds wall seconds of a part to `seconds[name]`, and its processor time to `seconds["processor"]`."""

    def __init__(self, seconds: dict[str, float], name: str):
        self.seconds, self.name = seconds, name

    def __enter__(self) -> None:
        self.start, self.busy = time.perf_counter(), time.process_time()

    def __exit__(self, *_) -> None:
        self.seconds[self.name] = self.seconds.get(self.name, 0.0) + time.perf_counter() - self.start
        self.seconds["processor"] = self.seconds.get("processor", 0.0) + time.process_time() - self.busy
