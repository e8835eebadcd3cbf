"""Gain of a paired score over its chance level.

Unrelated sounds also reach a certain level of any score. It is measured by breaking the synchrony and keeping
everything else: the generated onsets are shifted circularly in time (default), or compared with the
references of other clips. The gain is the score minus the mean of these trials, signed so that more is
better, with a one-sided p-value and a bootstrap interval.

The first and last 0.2 s are left out of score and trials alike: every clip starts with an onset, and cut
edges make more of them, which every model gets for free.

Detected onsets lie on the grid of their detector's frames. Shifts are whole steps of that grid: others
would bring differences into the trials that unshifted pairs never have. With librosa's frames of 23 ms, a
window of ±50 ms holds 5 grid steps, 116 ms, so that continuous shifts made F1 of unrelated clips look
better than chance by 0.03.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike

from stav2a.metrics.alignment import onset_f1, times
from stav2a.sound.onsets import ATTACK_HOP, ATTACK_RATE

EDGE_S = 0.2
LEAST_SHIFT_S = 0.5  # smaller shifts would count true synchrony as chance
DEFAULT_TRIALS = 50
DEFAULT_GRID_S = ATTACK_HOP / ATTACK_RATE
DRAWS = 9_999  # chance means

PairScore = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Gain:
    """A score against its chance level. `gain` > 0 is better than chance, also for distances."""

    score: float
    chance: float
    gain: float
    ci95: tuple[float, float] | None  # of the gain, over clips; None for a single clip
    p: float  # one-sided: how often chance does at least as well
    n: int  # clips

    def to_dict(self) -> dict:
        return asdict(self)


def inside_edges(onsets_s: ArrayLike, duration_s: float, edge_s: float = EDGE_S) -> np.ndarray:
    """Onsets in [edge, duration - edge], on a time axis that starts at `edge_s`."""
    onsets_s = times(onsets_s)
    return onsets_s[(onsets_s >= edge_s) & (onsets_s <= duration_s - edge_s)] - edge_s


def shift_amounts(length_s: float, trials: int, rng: np.random.Generator) -> np.ndarray:
    """Circular shifts in seconds [trials], one drawn in each of `trials` equal parts of the allowed range."""
    least_s = min(LEAST_SHIFT_S, length_s / 4)
    parts = (np.arange(trials) + rng.random(trials)) / trials
    return least_s + parts * (length_s - 2 * least_s)


def shifted_scores(
    reference_s: ArrayLike,
    estimated_s: ArrayLike,
    duration_s: float,
    score: PairScore = onset_f1,
    *,
    trials: int = DEFAULT_TRIALS,
    edge_s: float = EDGE_S,
    grid_s: float = DEFAULT_GRID_S,
    seed: int = 0,
) -> tuple[float, np.ndarray]:
    """(score, scores of circularly shifted estimates [trials]) of one clip's onsets, edges left out.

    grid_s: seconds between the times that the detector of the estimate can answer.
    """
    reference_s = inside_edges(reference_s, duration_s, edge_s)
    estimated_s = inside_edges(estimated_s, duration_s, edge_s)
    length_s = duration_s - 2 * edge_s
    own = score(reference_s, estimated_s)
    if length_s <= 0:
        return own, np.full(trials, own)
    length_s = np.ceil(length_s / grid_s) * grid_s
    shifts = shift_amounts(length_s, trials, np.random.default_rng(seed))
    shifts = np.round(shifts / grid_s) * grid_s
    trial_scores = [score(reference_s, np.sort((estimated_s + shift) % length_s)) for shift in shifts]
    return own, np.asarray(trial_scores)


def rolled_scores(
    reference: np.ndarray,
    generated: np.ndarray,
    frame_s: float,
    score: PairScore,
    *,
    trials: int = DEFAULT_TRIALS,
    seed: int = 0,
) -> tuple[float, np.ndarray]:
    """As `shifted_scores`, for curves [frames] of which one value lasts `frame_s`."""
    from stav2a.metrics.envelope import without_edges

    length = min(len(reference), len(generated))
    reference = without_edges(reference[:length], frame_s, EDGE_S)
    generated = without_edges(generated[:length], frame_s, EDGE_S)
    shifts = shift_amounts(len(reference) * frame_s, trials, np.random.default_rng(seed))
    steps = np.round(shifts / frame_s).astype(int)
    own = score(reference, generated)
    return own, np.asarray([score(reference, np.roll(generated, step)) for step in steps])


def against_others(
    n: int, pair: Callable[[int, int], float], *, trials: int = DEFAULT_TRIALS, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """(pair(i, i) [n], pair(i, j) for random other j [n, trials]): any score of estimate i and reference j."""
    if n < 2:
        raise ValueError(f"shuffled pairs need at least 2 clips, there is {n}")
    rng = np.random.default_rng(seed)
    own = np.asarray([pair(i, i) for i in range(n)])
    others = (np.arange(n)[:, None] + rng.integers(1, n, size=(n, trials))) % n  # never the clip itself
    return own, np.asarray([[pair(i, int(j)) for j in row] for i, row in enumerate(others)])


def gain_over_chance(
    reference_s: ArrayLike,
    estimated_s: ArrayLike,
    duration_s: float,
    score: PairScore = onset_f1,
    *,
    trials: int = 200,
) -> Gain:
    """Gain of one clip: onsets in seconds, circular shifts, p from the rank among the shifts."""
    own, trial_scores = shifted_scores(reference_s, estimated_s, duration_s, score, trials=trials)
    return pooled_gain([own], trial_scores[None])


def pooled_gain(
    scores: ArrayLike,
    trial_scores: ArrayLike,
    *,
    lower_is_better: bool = False,
    seed: int = 0,
) -> Gain:
    """Mean score over clips against chance.

    scores: [n]; trial_scores: [n, trials], chance scores of each clip. p: share of `DRAWS` chance means
    (one random trial a clip) at least as good as the mean, +1 in both counts. ci95: percentile bootstrap
    over clips of the gain.
    """
    scores, trial_scores = np.asarray(scores, float), np.asarray(trial_scores, float)
    if scores.ndim != 1 or trial_scores.ndim != 2 or len(scores) != len(trial_scores) or not scores.size:
        raise ValueError(f"scores [n] and trials [n, trials] expected, got {scores.shape} and {trial_scores.shape}")
    sign = -1.0 if lower_is_better else 1.0
    n, trials = trial_scores.shape
    rng = np.random.default_rng(seed)
    gains = sign * (scores - trial_scores.mean(axis=1))

    if n == 1:
        chance_means, count = trial_scores[0], trials  # one clip has no more chance means than its trials
    else:
        count = DRAWS
        chance_means = np.zeros(DRAWS)
        for row in trial_scores:
            chance_means += row[rng.integers(0, trials, size=DRAWS)]
        chance_means /= n
    as_good = sign * chance_means >= sign * scores.mean() - 1e-12
    return Gain(
        score=float(scores.mean()),
        chance=float(trial_scores.mean()),
        gain=float(gains.mean()),
        ci95=bootstrap_ci(gains, seed=seed) if n > 1 else None,
        p=float((1 + as_good.sum()) / (1 + count)),
        n=n,
    )


def bootstrap_ci(
    values: ArrayLike, *, draws: int = 2_000, seed: int = 0, statistic: Callable = np.mean
) -> tuple[float, float]:
    """Percentile bootstrap interval of 95 % of the mean of `values` [n], or of a `statistic` that takes an `axis`."""
    values = np.asarray(values, float)
    rng = np.random.default_rng(seed)
    found = np.concatenate(
        [statistic(values[rng.integers(0, len(values), size=(part, len(values)))], axis=1) for part in _parts(draws)]
    )
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _parts(total: int) -> list[int]:
    """Sizes of at most 250 that add up to `total`, so that large n fits in memory."""
    return [min(250, total - start) for start in range(0, total, 250)]
