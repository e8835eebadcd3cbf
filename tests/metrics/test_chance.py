"""Gain over chance: zero without synchrony, positive with it, whatever the density."""

import numpy as np
import pytest

from stav2a.metrics.alignment import aa_align, onset_f1
from stav2a.metrics.chance import (
    against_others,
    bootstrap_ci,
    gain_over_chance,
    inside_edges,
    pooled_gain,
    rolled_scores,
    shift_amounts,
    shifted_scores,
)
from stav2a.metrics.envelope import envelope_correlation, w_dis


def test_edges_are_left_out_on_both_sides():
    np.testing.assert_allclose(inside_edges([0.0, 0.1, 0.2, 5.0, 9.8, 9.9], 10.0), [0.0, 4.8, 9.6])


def test_onsets_at_the_edges_earn_nothing():
    gain = gain_over_chance([0.0, 3.0, 9.95], [0.05, 6.0, 9.95], 10.0, onset_f1)
    assert gain.score == 0.0


def test_shifts_stay_away_from_zero():
    shifts = shift_amounts(9.6, 50, np.random.default_rng(0))
    assert shifts.min() >= 0.5
    assert shifts.max() <= 9.1
    assert np.all(np.diff(shifts) > 0)


@pytest.mark.parametrize("score", [onset_f1, aa_align])
def test_aligned_clips_gain_and_dense_unrelated_ones_do_not(score):
    rng = np.random.default_rng(1)
    aligned, dense = [], []
    for seed in range(40):
        reference_s = np.sort(rng.uniform(0, 10, 60))
        aligned.append(shifted_scores(reference_s, reference_s + rng.normal(0, 0.01, 60), 10.0, score, seed=seed))
        dense.append(shifted_scores(reference_s, np.sort(rng.uniform(0, 10, 60)), 10.0, score, seed=seed))
    gain = pooled_gain(*map(np.asarray, zip(*aligned, strict=True)))
    assert gain.p < 0.001
    assert gain.ci95[0] > 0.2
    chance = pooled_gain(*map(np.asarray, zip(*dense, strict=True)))
    assert chance.score > 0.3  # the raw score looks respectable ...
    assert abs(chance.gain) < 0.03  # ... and is all chance
    assert chance.p > 0.01


def test_p_values_are_uniform_without_synchrony():
    rng = np.random.default_rng(5)
    p = [
        gain_over_chance(rng.uniform(0, 10, 20), rng.uniform(0, 10, 20), 10.0, aa_align, trials=49).p
        for _ in range(300)
    ]
    assert np.mean(np.asarray(p) <= 0.1) == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize("frame_s", [512 / 22_050, 0.008])
def test_onsets_on_a_grid_gain_nothing_from_the_grid(frame_s):
    """Continuous shifts would show a gain of 0.03 here, at p < 0.001."""
    rng = np.random.default_rng(3)

    def detected():
        return np.unique(np.round(rng.uniform(0, 10, 30) / frame_s)) * frame_s

    results = [shifted_scores(detected(), detected(), 10.0, trials=20, grid_s=frame_s, seed=i) for i in range(200)]
    gain = pooled_gain(*map(np.asarray, zip(*results, strict=True)))
    assert abs(gain.gain) < 0.015
    assert gain.p > 0.02


def test_single_clip_has_a_p_but_no_interval():
    onsets_s = [1.0, 1.7, 3.1, 5.2, 8.8]
    gain = gain_over_chance(onsets_s, onsets_s, 10.0)
    assert gain.score == 1.0
    assert gain.p < 0.02
    assert gain.ci95 is None
    assert gain.gain == pytest.approx(gain.score - gain.chance)


def test_distances_gain_when_they_are_lower():
    gain = pooled_gain([1.0, 1.2], [[3.0, 3.2], [2.8, 3.0]], lower_is_better=True)
    assert gain.gain == pytest.approx(1.9)
    assert gain.p < 0.01


def test_curves_are_rolled():
    rng = np.random.default_rng(2)
    curve = rng.gamma(0.3, size=400)
    own, trials = rolled_scores(curve, curve, 0.023, envelope_correlation)
    assert own == pytest.approx(1.0)
    assert trials.max() < 0.5
    own, trials = rolled_scores(curve, curve, 0.023, lambda a, b: w_dis(a, b, 0.023))
    assert own == 0.0
    assert trials.min() > 0.0


def test_shuffled_pairs_never_compare_a_clip_with_itself():
    references = [[1.0 + i, 3.0 + i] for i in range(4)]
    own, trials = against_others(4, lambda i, j: onset_f1(references[j], references[i]))
    assert own.tolist() == [1.0] * 4
    assert trials.max() < 1.0
    with pytest.raises(ValueError, match="at least 2"):
        against_others(1, lambda i, j: 1.0)


def test_short_clips_and_wrong_shapes():
    own, trials = shifted_scores([0.1], [0.1], 0.3)
    assert own == 1.0
    assert np.all(trials == own)
    with pytest.raises(ValueError, match="expected"):
        pooled_gain([1.0, 2.0], [[1.0]])


def test_bootstrap_interval_covers_like_the_t_interval():
    values = np.random.default_rng(0).normal(5.0, 2.0, 400)
    low, high = bootstrap_ci(values)
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.05)
    assert high == pytest.approx(values.mean() + half, abs=0.05)
