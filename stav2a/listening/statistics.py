"""What listeners' answers say: means with confidence intervals, paired tests, consistency, ABX and AB tests.

Input are the frames of `RatingStore.ratings` and `.choices`; nothing is read from disk here. Every
interval is at 95 %. With too few answers a number is NaN, never an error.

A rater who hears a clip twice (a repeat trial) gives one opinion: both are averaged before anything but
`consistency` looks at them. Opinions, one per rater and clip, are what means and tests count. They are not
fully independent (a strict rater is strict on every clip); pairing by rater and clip removes what a rater or
a clip adds to all systems alike.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy  # its parts are imported where they are first used: `stats` takes a second
from numpy.typing import ArrayLike

from stav2a.listening.design import LOW_PASS, REFERENCE, SCALE_KEYS

LEVEL = 0.95
# ITU-R BS.1534-3, post-screening: who rates the hidden reference below 90 in over 15 % of the trials is out.
REFERENCE_MINIMUM, REFERENCE_MISSES = 90, 0.15


class Interval(NamedTuple):
    mean: float
    half_width: float  # mean ± half_width
    n: int


def mean_interval(values: ArrayLike) -> Interval:
    """Mean and Student's t interval of independent values."""
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    n = len(known)
    if n == 0:
        return Interval(float("nan"), float("nan"), 0)
    if n == 1:
        return Interval(float(known[0]), float("nan"), 1)
    quantile = scipy.stats.t.ppf((1 + LEVEL) / 2, n - 1)
    return Interval(float(known.mean()), float(quantile * known.std(ddof=1) / np.sqrt(n)), n)


def opinions(ratings: pd.DataFrame) -> pd.DataFrame:
    """One row per rater, clip and system, repeats averaged: rater, clip, system, role and the scales."""
    return ratings.groupby(["rater", "clip", "system", "role"], as_index=False)[list(SCALE_KEYS)].mean()


def score_table(ratings: pd.DataFrame) -> pd.DataFrame:
    """The paper's Table II: system, role, n, and per scale its mean and `<scale>_ci`, best overall first."""
    rows = []
    for (system, role), group in opinions(ratings).groupby(["system", "role"]):
        row = {"system": system, "role": role, "n": len(group)}
        for scale in SCALE_KEYS:
            row[scale], row[f"{scale}_ci"], _ = mean_interval(group[scale])
        rows.append(row)
    columns = ["system", "role", "n", *(name for key in SCALE_KEYS for name in (key, f"{key}_ci"))]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("OQ", ascending=False, ignore_index=True)


def paired_tests(ratings: pd.DataFrame) -> pd.DataFrame:
    """Every pair of systems on every scale, over the opinions that rated both.

    scale, first, second, n, difference (first minus second), ci (of the difference), p (Wilcoxon's signed
    ranks, two-sided), p_holm (Holm's correction over all rows: the chance that any row is a false alarm
    stays below the level).
    """
    by_opinion = opinions(ratings).pivot_table(index=["rater", "clip"], columns="system", values=list(SCALE_KEYS))
    rows = []
    for scale in SCALE_KEYS if len(by_opinion) else ():
        for first, second in combinations(sorted(by_opinion[scale].columns), 2):
            difference = (by_opinion[scale][first] - by_opinion[scale][second]).dropna().to_numpy()
            mean, half_width, n = mean_interval(difference)
            rows.append((scale, first, second, n, mean, half_width, _signed_rank(difference)))
    tests = pd.DataFrame(rows, columns=["scale", "first", "second", "n", "difference", "ci", "p"])
    tests["p_holm"] = holm(tests["p"].to_numpy(dtype=float))
    return tests


def consistency(ratings: pd.DataFrame) -> pd.DataFrame:
    """How far each rater can be relied on, one row per rater.

    repeats        sounds rated twice, over all scales
    difference     mean absolute difference between first and second time, in points
    within_sd      standard deviation of one answer around the rater's own opinion
    correlation    Spearman's, first against second time
    references     trials with a hidden reference
    reference_low  share of them with the reference below 90 in overall quality; NaN on the five-point scale
    anchor_missed  share of the trials where the low-pass anchor's audio quality is not below the reference's
    reliable       False where BS.1534 would leave the rater out (NaN-free; True without hidden references)
    """
    rows = []
    for rater, own in ratings.groupby("rater"):
        first, second = _repeat_pairs(own)
        difference = second - first
        references = own[own.role == REFERENCE]
        hundred = references[references.test == "rating"]  # the rule of BS.1534 is of that scale
        low = float((hundred.OQ < REFERENCE_MINIMUM).mean())
        rows.append(
            {
                "rater": rater,
                "trials": own.trial.nunique(),
                "repeats": len(difference),
                "difference": np.abs(difference).mean() if len(difference) else np.nan,
                "within_sd": np.sqrt((difference**2).mean() / 2) if len(difference) else np.nan,
                "correlation": _spearman(first, second),
                "references": len(references),
                "reference_low": low,
                "anchor_missed": _anchor_missed(own),
                "reliable": not low > REFERENCE_MISSES,
            }
        )
    columns = ["rater", "trials", "repeats", "difference", "within_sd", "correlation"]
    columns += ["references", "reference_low", "anchor_missed", "reliable"]
    return pd.DataFrame(rows, columns=columns)


def abx_table(choices: pd.DataFrame) -> pd.DataFrame:
    """Per pair of systems: n, correct, share with its interval (Wilson), p of as many by guessing."""
    rows = []
    for (first, second), group in _by_pair(choices[choices.test == "abx"]):
        n, correct = len(group), int(group.correct.sum())
        result = scipy.stats.binomtest(correct, n, 0.5, alternative="greater")
        low, high = scipy.stats.binomtest(correct, n, 0.5).proportion_ci(LEVEL, method="wilson")
        rows.append((first, second, n, correct, correct / n, low, high, result.pvalue))
    return pd.DataFrame(rows, columns=["first", "second", "n", "correct", "share", "low", "high", "p"])


def ab_table(choices: pd.DataFrame) -> pd.DataFrame:
    """Per pair of systems: n, who was preferred how often, ties, p of the two-sided sign test."""
    rows = []
    for (first, second), group in _by_pair(choices[choices.test == "ab"]):
        won, lost = int((group.answer == first).sum()), int((group.answer == second).sum())
        p = scipy.stats.binomtest(won, won + lost, 0.5).pvalue if won + lost else np.nan
        rows.append((first, second, len(group), won, lost, len(group) - won - lost, p))
    return pd.DataFrame(rows, columns=["first", "second", "n", "first_won", "second_won", "ties", "p"])


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down correction; NaN stays NaN and does not count."""
    p = np.asarray(p, dtype=float)
    corrected = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return corrected


def _signed_rank(difference: np.ndarray) -> float:
    if len(difference) < 2:
        return float("nan")
    if not difference.any():
        return 1.0
    return float(scipy.stats.wilcoxon(difference).pvalue)


def _repeat_pairs(own: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the first and the second time, sound by sound and scale by scale."""
    again = own[own.repeat_of.notna()]
    both = again.merge(own, left_on=["repeat_of", "system", "role"], right_on=["trial", "system", "role"])
    pairs = [(both[f"{scale}_y"], both[f"{scale}_x"]) for scale in SCALE_KEYS]
    first, second = (np.concatenate(side).astype(float) for side in zip(*pairs, strict=True))
    return first, second


def _spearman(first: np.ndarray, second: np.ndarray) -> float:
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(scipy.stats.spearmanr(first, second).statistic)


def _anchor_missed(own: pd.DataFrame) -> float:
    quality = own.pivot_table(index="trial", columns="role", values="AQ")
    if LOW_PASS not in quality or REFERENCE not in quality:
        return float("nan")
    both = quality[[LOW_PASS, REFERENCE]].dropna()
    return float((both[LOW_PASS] >= both[REFERENCE]).mean())


def _by_pair(choices: pd.DataFrame) -> Any:
    """Groups of the same two systems, whichever side each was on."""
    sides = np.sort(choices[["first", "second"]].to_numpy(dtype=str), axis=1)
    return choices.groupby([sides[:, 0], sides[:, 1]])
