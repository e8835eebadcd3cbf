"""The table of a test on FoleyWorld: figures with intervals, of what `foley_test.py` found on each clip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stav2a.evaluation.models.foley_test import SOUNDS, FoleyTest
from stav2a.metrics.alignment import count_matches, onset_f1
from stav2a.metrics.chance import Gain, bootstrap_ci, pooled_gain, shifted_scores
from stav2a.sound.onsets import onset_frame_s


def average_precision(judged: list[tuple[float, bool]], events: int) -> float:
    """Area under precision over recall, all clips' peaks together, highest first."""
    hits = np.array([hit for _, hit in sorted(judged, key=lambda j: -j[0])], bool)
    if not events or not hits.any():
        return 0.0
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].sum() / events)


def micro_f1(pairs: list[tuple]) -> dict:
    """F1 over all events of all clips (±50 ms), with a bootstrap over clips."""
    counts = np.array([(count_matches(p[0], p[1], 0.05), len(p[0]), len(p[1])) for p in pairs])

    def f1(rows: np.ndarray) -> float:
        matches, true, found = rows.sum(0)
        return 2 * matches / max(true + found, 1)

    rng = np.random.default_rng(0)
    samples = [f1(counts[rng.integers(0, len(counts), len(counts))]) for _ in range(1000)]
    low, high = np.quantile(samples, [0.025, 0.975])
    return {"value": f1(counts), "ci95": [float(low), float(high)], "n": len(pairs)}


def clip_f1(pairs: list[tuple]) -> dict:
    """Mean F1 over the clips that have events, as onset detectors are scored.

    `micro_f1` over all clips also counts what is heard in clips without any event (rain, engines, ambience), whose
    onsets no picture shows; the clips' own sounds lose most by that.
    """
    return mean([onset_f1(true, found) for true, found, _ in pairs if len(true)])


def gain(pairs: list[tuple], grid_s: float) -> Gain:
    """`clip_f1` against the same onsets rotated in time; both without what lies next to a clip's ends (`EDGE_S`)."""
    scored = [shifted_scores(p[0], p[1], p[2], onset_f1, grid_s=grid_s) for p in pairs if len(p[0])]
    return pooled_gain([own for own, _ in scored], [trials for _, trials in scored])


def mean(values: Sequence[float]) -> dict:
    return {"value": float(np.mean(values)), "ci95": list(bootstrap_ci(values)), "n": len(values)}


def median(values: Sequence[float]) -> dict:
    ci95 = bootstrap_ci(values, draws=1_000, statistic=np.median)
    return {"value": float(np.median(values)), "ci95": list(ci95), "n": len(values)}


def summary(result: FoleyTest) -> dict[str, dict]:
    """{figure: {"value", "ci95", "n"}}; gains also carry the score, its chance level and p."""
    heard_s = onset_frame_s()
    made, *others = SOUNDS
    rows = {
        "onset predictor F1 ±50 ms": micro_f1(result.predicted),
        "onset predictor F1 ±50 ms, clip by clip": clip_f1(result.predicted),
        "onset predictor gain over chance": as_row(gain(result.predicted, 0.008)),
        "onset predictor average precision": {
            "value": average_precision(result.precision, result.events),
            "ci95": None,
            "n": len(result.predicted),
        },
        "generated onsets F1 ±50 ms": micro_f1(result.heard[made]),
        "generated onsets F1 ±50 ms, clip by clip": clip_f1(result.heard[made]),
        "generated onsets gain over chance": as_row(gain(result.heard[made], heard_s)),
    }
    for name in filter(result.heard.get, others):
        rows[f"{name}: onsets F1 ±50 ms"] = micro_f1(result.heard[name])
        rows[f"{name}: onsets F1 ±50 ms, clip by clip"] = clip_f1(result.heard[name])
        rows[f"{name}: onsets gain over chance"] = as_row(gain(result.heard[name], heard_s))
    for name, pairs in (("onsets moved by 0.5 s", result.moved), ("half of the onsets removed", result.halved)):
        if pairs:
            rows[f"{name}: F1 ±50 ms"] = micro_f1(pairs)
            rows[f"{name}: gain over chance"] = as_row(gain(pairs, heard_s))
    reworded = np.array(result.ranks_reworded)
    usual = np.array(result.ranks[made][: len(reworded)])  # of the same clips, which come first
    for name, ranks in (
        ("asked class, generated", result.ranks[made]),
        ("asked class, other wording", reworded),
        ("asked class, usual wording of the same clips", usual),
        *((f"asked class, {name}", result.ranks[name]) for name in others),
    ):
        if len(ranks):
            for first in (1, 5):
                rows[f"{name}: top-{first}"] = mean(np.array(ranks) <= first)
    if len(reworded):
        for first in (1, 5):
            lost = (usual <= first).astype(float) - (reworded <= first)
            rows[f"asked class, lost by the other wording: top-{first}"] = mean(lost)
    if result.levels_lu:
        rows["louder than the real sound, LU"] = mean(result.levels_lu)
    for name in SOUNDS:
        if result.attacks_s[name]:
            rows[f"attacks at the events, {name}: ms"] = median(1000 * np.array(result.attacks_s[name]))
    for name in SOUNDS:
        if result.floors_db[name]:
            rows[f"noise floor where the real sound is silent, {name}: dBFS"] = median(result.floors_db[name])
    for name in SOUNDS:
        if result.buzz_db[name]:
            rows[f"buzz at the rate of mel frames, {name}: dB"] = median(result.buzz_db[name])
    if result.asked_silent_db:
        rows["level of clips asked to be silent, whole, dBFS"] = median(result.asked_silent_db)
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
