"""Alignment scores against mir_eval, scipy, dtaidistance and cases worked out by hand."""

import mir_eval
import numpy as np
import pytest
from dtaidistance import dtw
from scipy.stats import wasserstein_distance

from stav2a.metrics import alignment, envelope
from stav2a.metrics.alignment import (
    aa_align,
    aa_align_one_to_one,
    av_align,
    av_align_one_to_one,
    av_align_symmetric,
    count_hits,
    count_matches,
    onset_f1,
)


def random_onsets(rng, most=40):
    return np.sort(rng.uniform(0, 10, rng.integers(0, most)))


def authors_iou(reference_s, generated_s, window_s):
    """The published double loop, as its description in the paper's evaluation code says it."""
    hits = sum(any(r - window_s < g < r + window_s for r in reference_s) for g in generated_s)
    return hits / (len(generated_s) + len(reference_s) - hits)


@pytest.mark.parametrize("seed", range(50))
def test_authors_forms_equal_the_double_loop(seed):
    rng = np.random.default_rng(seed)
    reference_s, generated_s = random_onsets(rng), random_onsets(rng)
    if not len(reference_s) and not len(generated_s):
        pytest.skip("drew two empty sets")
    assert aa_align(reference_s, generated_s) == authors_iou(reference_s, generated_s, 0.1)
    fps = rng.choice([4, 21.5, 25, 30])
    assert av_align(generated_s, reference_s, fps) == authors_iou(reference_s, generated_s, 1 / fps)


@pytest.mark.parametrize("window_s", [0.03, 0.05, 0.1, 0.4])
def test_one_to_one_matching_equals_mir_eval(window_s):
    rng = np.random.default_rng(7)
    for _ in range(200):
        reference_s, estimated_s = random_onsets(rng), random_onsets(rng)
        matches = mir_eval.util.match_events(reference_s, estimated_s, window_s)
        assert count_matches(reference_s, estimated_s, window_s) == len(matches)
        if len(reference_s) and len(estimated_s):
            f_measure, _, _ = mir_eval.onset.f_measure(reference_s, estimated_s, window=window_s)
            assert onset_f1(reference_s, estimated_s, window_s) == pytest.approx(f_measure, abs=1e-12)


@pytest.mark.parametrize("score", [aa_align, aa_align_one_to_one, onset_f1])
def test_identity_disjoint_and_silence(score):
    onsets_s = [0.5, 1.0, 4.2]
    assert score(onsets_s, onsets_s) == 1.0
    assert score(onsets_s, [2.0, 3.0]) == 0.0
    assert score([], []) == 1.0
    assert score(onsets_s, []) == score([], onsets_s) == 0.0


def test_one_reference_onset_serves_many_only_for_the_authors():
    # three generated onsets near one reference onset: 3 hits over 3 + 1 - 3
    assert aa_align([1.0], [0.95, 1.0, 1.05]) == 3.0
    assert aa_align([0.95, 1.0, 1.05], [1.0]) == pytest.approx(1 / 3)  # not symmetric
    assert aa_align_one_to_one([1.0], [0.95, 1.0, 1.05]) == pytest.approx(1 / 3)
    assert aa_align_one_to_one([0.95, 1.0, 1.05], [1.0]) == pytest.approx(1 / 3)
    assert onset_f1([1.0], [0.95, 1.0, 1.05], 0.1) == pytest.approx(0.5)


def test_windows_are_open_for_the_authors_and_closed_for_matching():
    assert count_hits([1.0], [1.25], 0.25) == 0
    assert count_matches([1.0], [1.25], 0.25) == 1


def test_av_align_forms():
    onsets_s, peaks_s = [1.0, 1.02, 5.0], [1.01, 3.0]
    assert av_align(onsets_s, peaks_s, 25) == pytest.approx(2 / 3)  # 2 hits / (3 + 2 - 2)
    assert av_align_one_to_one(onsets_s, peaks_s, 25) == pytest.approx(1 / 4)
    assert av_align_symmetric(onsets_s, peaks_s, 25) == pytest.approx((2 + 1) / (2 * 3))
    assert av_align([], [], 25) == 1.0


@pytest.mark.parametrize("offset_s", [-1.3, 0.0, 0.24, 1.9])
def test_onset_offset_is_found_among_missing_and_added_onsets(offset_s):
    rng = np.random.default_rng(4)
    reference_s = np.sort(rng.uniform(0, 10, 12))
    estimated_s = np.concatenate([reference_s[2:] + offset_s + rng.normal(0, 0.01, 10), rng.uniform(0, 10, 5)])
    assert alignment.onset_offset(reference_s, estimated_s) == pytest.approx(offset_s, abs=0.02)


def test_offsets_without_anything_to_compare_are_zero():
    assert alignment.onset_offset([], [1.0]) == alignment.onset_offset([1.0], []) == 0.0
    assert alignment.onset_offset([1.0], [9.0]) == 0.0  # further than is looked
    assert alignment.onset_offset([1.0, 2.0], [1.5]) in (-0.5, 0.5)


def test_onsets_that_are_no_times_are_refused():
    with pytest.raises(ValueError, match="finite"):
        onset_f1([0.1, np.nan], [0.1])


def curves(seed, length=120):
    rng = np.random.default_rng(seed)
    return rng.gamma(0.5, size=length), rng.gamma(0.5, size=length)


@pytest.mark.parametrize("seed", range(10))
def test_w_dis_equals_scipy(seed):
    a, b = curves(seed)
    seconds = np.arange(len(a)) * 0.02
    assert envelope.w_dis(a, b, 0.02) == pytest.approx(wasserstein_distance(seconds, seconds, a, b))


@pytest.mark.parametrize("seed", range(10))
def test_dtw_dis_equals_dtaidistance(seed):
    a, b = curves(seed)
    assert envelope.dtw_dis(a, b) == pytest.approx(dtw.distance(a / a.max(), b / b.max()))


def test_curves_of_silence_are_defined():
    silent, (sounding, _) = np.zeros(50), curves(0, 50)
    assert envelope.envelope_correlation(silent, silent) == 1.0
    assert envelope.envelope_correlation(silent, sounding) == 0.0
    assert envelope.w_dis(silent, silent, 0.02) == 0.0
    assert envelope.w_dis(silent, sounding, 0.02) == pytest.approx(1.0)
    assert envelope.dtw_dis(silent, silent) == 0.0
    assert envelope.best_lag(silent, sounding, 0.02) == (0.0, 0.0)
    with pytest.raises(ValueError, match="without values"):
        envelope.dtw_dis(np.zeros(0), silent)


def test_correlation_equals_numpy_and_lag_has_the_sign_of_lateness():
    a, b = curves(3)
    assert envelope.envelope_correlation(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    late = np.concatenate([np.zeros(7), a])[: len(a)]
    correlation, lag_s = envelope.best_lag(a, late, frame_s=0.02)
    assert lag_s == pytest.approx(0.14)
    assert correlation > 0.9
    assert envelope.best_lag(late, a, frame_s=0.02)[1] == pytest.approx(-0.14)
    assert abs(envelope.best_lag(a, late, frame_s=0.02, max_lag_s=0.1)[1]) <= 0.1


def test_union_never_divides_by_zero():
    assert alignment.intersection_over_union(0, 0, 0) == 1.0
