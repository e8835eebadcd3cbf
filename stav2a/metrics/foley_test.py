"""A model on FoleyWorld's test clips, whose true event times and classes are known exactly.

Clips are made of recordings, pictures and (where asked) wordings that no training has seen. Their real sound, and the
same through VAE and vocoder, tell what of timing and class is lost where. Events are timed by their visible contact;
onsets are compared as heard, `HEARD_AFTER_S` later (`stav2a/metrics/onsets.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stav2a.condition.onset import pick_onsets
from stav2a.data.foleyworld.world import FoleyWorld
from stav2a.media.audio import loudness_lufs
from stav2a.metrics import bank_classifier
from stav2a.metrics.alignment import count_matches, onset_f1
from stav2a.metrics.chance import Gain, bootstrap_ci, pooled_gain, shifted_scores
from stav2a.metrics.onsets import HEARD_AFTER_S, detect_onsets, onset_frame_s
from stav2a.metrics.reconstruction import coded_and_decoded

MOVE_S = 0.5
SILENT = "silence"


@dataclass
class FoleyTest:
    """What was found on each clip; `summary` makes the table."""

    predicted: list[tuple] = field(default_factory=list)
    heard: list[tuple] = field(default_factory=list)
    moved: list[tuple] = field(default_factory=list)
    halved: list[tuple] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    ranks_reworded: list[int] = field(default_factory=list)
    ranks_real: list[int] = field(default_factory=list)
    ranks_coded: list[int] = field(default_factory=list)
    heard_real: list[tuple] = field(default_factory=list)
    heard_coded: list[tuple] = field(default_factory=list)
    precision: list[tuple[float, bool]] = field(default_factory=list)
    events: int = 0
    floors_db: list[float] = field(default_factory=list)
    levels_lu: list[float] = field(default_factory=list)


def run(
    pipe,
    bank: str | Path,
    sprites: str | Path | None,
    count: int,
    *,
    seed: int = 0,
    duration_s: float = 5.12,
    settings: dict | None = None,
    edited: int = 50,
    write: Path | None = None,
) -> Iterator[FoleyTest]:
    """Generate for `count` test clips; yields the growing result after each.

    The first `edited` clips are generated three times more: all onsets moved by half a second, half of them
    removed, and the caption in words kept apart from training. `write`: folder for the first ten pairs.
    """
    import soundfile

    timeline = pipe.timeline
    options = {"duration_s": duration_s, "fps": timeline.fps, "size": timeline.frame_size, "seed": seed}
    world = FoleyWorld(bank, sprites, "test", **options)
    reworded = FoleyWorld(bank, sprites, "test", **options, held_out_captions=True)
    classifier = bank_classifier.BankClassifier.load()
    result = FoleyTest()
    settings = settings or {}
    for index in range(count):
        clip = world[index]
        video = pipe.encode_video(clip.frames)
        true_s = [time + HEARD_AFTER_S for time in clip.onsets_s]
        result.predicted.append((true_s, video.onset.onsets_s, duration_s))
        result.events += len(true_s)
        result.precision += judged_peaks(true_s, video.onset.curve, timeline.step_s)
        made = pipe(video, clip.caption, seed=index, **settings)
        wave, rate = made.waveforms[0], made.sample_rate
        result.heard.append((true_s, detect_onsets(wave, rate), duration_s))
        coded = coded_and_decoded(pipe, clip.waveform)
        result.heard_real.append((true_s, detect_onsets(clip.waveform, rate), duration_s))
        result.heard_coded.append((true_s, detect_onsets(coded, rate), duration_s))
        asked = clip.cls
        level = loudness_lufs(wave, rate) - loudness_lufs(clip.waveform, rate)
        if np.isfinite(level):  # neither of them is silent
            result.levels_lu.append(level)
        if asked in classifier.classes:
            result.ranks.append(rank(classifier, wave, asked))
            result.ranks_real.append(rank(classifier, clip.waveform, asked))
            result.ranks_coded.append(rank(classifier, coded, asked))
        elif asked == SILENT:
            result.floors_db.append(10 * np.log10(np.mean(wave.astype(np.float64) ** 2) + 1e-12))
        if write is not None and index < 10:
            write.mkdir(parents=True, exist_ok=True)
            soundfile.write(write / f"{index:02d}_real.wav", clip.waveform, rate)
            soundfile.write(write / f"{index:02d}_generated.wav", wave, rate)
            (write / f"{index:02d}.txt").write_text(clip.caption + "\n", encoding="utf-8")
        if index < edited and video.onset.onsets_s:
            wanted = [t + MOVE_S for t in video.onset.onsets_s if t + MOVE_S < duration_s]
            wave = pipe(video, clip.caption, seed=index, onsets_s=wanted, **settings).waveforms[0]
            result.moved.append((wanted, detect_onsets(wave, rate), duration_s))
            kept = video.onset.onsets_s[::2]
            wave = pipe(video, clip.caption, seed=index, onsets_s=kept, **settings).waveforms[0]
            result.halved.append((kept, detect_onsets(wave, rate), duration_s))
        if index < edited and asked in classifier.classes:
            words = reworded.sound(index).caption
            wave = pipe(video, words, seed=index, **settings).waveforms[0]
            result.ranks_reworded.append(rank(classifier, wave, asked))
        yield result


def rank(classifier, waveform: np.ndarray, asked: str) -> int:
    probabilities = bank_classifier.describe(classifier, waveform).probabilities
    return bank_classifier.rank_of(probabilities, classifier.classes, asked)


def judged_peaks(true_s: list[float], curve: np.ndarray, step_s: float) -> list[tuple[float, bool]]:
    """(height, whether it is an event within 50 ms) of every peak of the curve; higher peaks choose first."""
    times = pick_onsets(curve, step_s, threshold=0.02)
    heights = [float(curve[max(int(t / step_s) - 1, 0) : int(t / step_s) + 2].max()) for t in times]
    free, judged = list(true_s), []
    for height, time in sorted(zip(heights, times, strict=True), reverse=True):
        near = min(free, key=lambda t: abs(t - time), default=None)
        hit = near is not None and abs(near - time) <= 0.05
        if hit:
            free.remove(near)
        judged.append((height, hit))
    return judged


def average_precision(judged: list[tuple[float, bool]], events: int) -> float:
    """Area under precision over recall, all clips' peaks together, highest first."""
    hits = np.array([hit for _, hit in sorted(judged, key=lambda j: -j[0])], bool)
    if not events or not hits.any():
        return 0.0
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].sum() / events)


def micro_f1(pairs: list[tuple], window_s: float = 0.05, draws: int = 1000) -> dict:
    """F1 over all events of all clips, with a bootstrap over clips."""
    counts = np.array([(count_matches(p[0], p[1], window_s), len(p[0]), len(p[1])) for p in pairs])

    def f1(rows: np.ndarray) -> float:
        matches, true, found = rows.sum(0)
        return 2 * matches / max(true + found, 1)

    rng = np.random.default_rng(0)
    samples = [f1(counts[rng.integers(0, len(counts), len(counts))]) for _ in range(draws)]
    low, high = np.quantile(samples, [0.025, 0.975])
    return {"value": f1(counts), "ci95": [float(low), float(high)], "n": len(pairs)}


def gain(pairs: list[tuple], grid_s: float) -> Gain:
    """Clip-wise F1 at ±50 ms against the same onsets rotated in time, over clips that have events."""
    scored = [shifted_scores(p[0], p[1], p[2], onset_f1, grid_s=grid_s) for p in pairs if len(p[0])]
    return pooled_gain([own for own, _ in scored], [trials for _, trials in scored])


def share(ranks: list[int], at_most: int) -> dict:
    values = np.array(ranks) <= at_most
    return {"value": float(values.mean()), "ci95": list(bootstrap_ci(values)), "n": len(values)}


def summary(result: FoleyTest) -> dict[str, dict]:
    """{figure: {"value", "ci95", "n"}}; gains also carry the score, its chance level and p."""
    heard_s = onset_frame_s()
    rows = {
        "onset predictor F1 ±50 ms": micro_f1(result.predicted),
        "onset predictor gain over chance": as_row(gain(result.predicted, 0.008)),
        "onset predictor average precision": {
            "value": average_precision(result.precision, result.events),
            "ci95": None,
            "n": len(result.predicted),
        },
        "generated onsets F1 ±50 ms": micro_f1(result.heard),
        "generated onsets gain over chance": as_row(gain(result.heard, heard_s)),
        "the same, real sound": as_row(gain(result.heard_real, heard_s)),
        "the same, real sound through VAE and vocoder": as_row(gain(result.heard_coded, heard_s)),
    }
    for name, pairs in (("onsets moved by 0.5 s", result.moved), ("half of the onsets removed", result.halved)):
        if pairs:
            rows[f"{name}: F1 ±50 ms"] = micro_f1(pairs)
            rows[f"{name}: gain over chance"] = as_row(gain(pairs, heard_s))
    for name, ranks in (
        ("asked class, generated", result.ranks),
        ("asked class, other wording", result.ranks_reworded),
        ("asked class, real sound of the same clips", result.ranks_real),
        ("asked class, real sound through VAE and vocoder", result.ranks_coded),
    ):
        if ranks:
            rows[f"{name}: top-1"] = share(ranks, 1)
            rows[f"{name}: top-5"] = share(ranks, 5)
    if result.levels_lu:
        levels = np.array(result.levels_lu)
        rows["louder than the real sound, LU"] = {
            "value": float(levels.mean()),
            "ci95": list(bootstrap_ci(levels)),
            "n": len(levels),
        }
    if result.floors_db:
        rows["level of clips asked to be silent, dBFS"] = {
            "value": float(np.median(result.floors_db)),
            "ci95": None,
            "n": len(result.floors_db),
        }
    return rows


def as_row(found: Gain) -> dict:
    return {
        "value": found.gain,
        "ci95": list(found.ci95) if found.ci95 else None,
        "n": found.n,
        "score": found.score,
        "chance": found.chance,
        "p": found.p,
    }
