"""Plans and statistics of listening tests, against published examples and simulated listeners."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from stav2a.listening import statistics as listening_stats
from stav2a.listening.design import LOW_PASS, REFERENCE, SCALE_KEYS, SHIFTED, SYSTEM, Design, Trial, plan_trials
from stav2a.ui.compare.results import short_names

CLIPS = [(f"clip {n}", ["ours", "theirs"], n != 3) for n in range(4)]


def test_a_rating_plan_holds_every_sound_once_per_clip():
    trials = plan_trials(CLIPS, Design(anchors=(LOW_PASS, SHIFTED), open_reference=True))
    assert sorted(trial.clip for trial in trials) == [clip for clip, _, _ in CLIPS]
    for trial in trials:
        roles = Counter(each.role for each in trial.presented)
        has_original = trial.clip != "clip 3"
        assert roles == Counter({SYSTEM: 2, **({REFERENCE: 1, LOW_PASS: 1, SHIFTED: 1} if has_original else {})})
        assert (trial.open_reference is not None) == has_original
        assert Trial.from_json(trial.to_json()) == trial


def test_the_page_learns_nothing_but_random_ids():
    design = Design(anchors=(LOW_PASS,), open_reference=True, repeats=1.0)
    for trial in plan_trials(CLIPS, design):
        public = trial.public()
        assert set(public) == {"trial", "test", "sounds", "reference"}
        ids = [public["trial"], *public["sounds"], *([public["reference"]] if public["reference"] else [])]
        assert all(len(each) == 32 and int(each, 16) >= 0 for each in ids)
    ids = [each.id for _ in range(50) for trial in plan_trials(CLIPS, design) for each in trial.presented]
    assert len(set(ids)) == len(ids), "an id is never used twice, not even for a repeat"
    again = plan_trials(CLIPS, design, seed=1), plan_trials(CLIPS, design, seed=1)
    assert [t.clip for t in again[0]] == [t.clip for t in again[1]]
    assert again[0][0].presented[0].id != again[1][0].presented[0].id, "a seed must not make ids guessable"


def test_order_is_uniform():
    """Each system is first in a third of the trials, whichever clip: chi-square over 1800 trials."""
    first = Counter()
    for seed in range(600):
        first.update(trial.presented[0].system for trial in plan_trials(CLIPS[:3], Design(), seed))
    assert len(first) == 3
    assert stats.chisquare(list(first.values())).pvalue > 1e-4


def test_repeats_come_later_and_in_their_own_order():
    changed = 0
    for seed in range(40):
        trials = plan_trials(CLIPS, Design(repeats=0.5, anchors=(LOW_PASS,)), seed)
        assert len(trials) == 6
        place = {trial.id: n for n, trial in enumerate(trials)}
        for n, trial in enumerate(trials):
            if trial.repeat_of:
                first = trials[place[trial.repeat_of]]
                assert n >= place[first.id] + 2
                assert sorted(each.system for each in trial.presented) == sorted(
                    each.system for each in first.presented
                )
                changed += [each.system for each in trial.presented] != [each.system for each in first.presented]
    assert changed > 40, "of 80 repeats most are in another order"


def test_abx_is_fair():
    """X is A in half of the trials, A is each system in half of them."""
    x_is_a = a_is_ours = 0
    for seed in range(500):
        for trial in plan_trials(CLIPS[:1], Design("abx", hidden_reference=False), seed):
            a, b, x = trial.presented
            assert {a.system, b.system} == {"ours", "theirs"} and len({a.id, b.id, x.id}) == 3
            x_is_a += x.system == a.system
            a_is_ours += a.system == "ours"
    assert stats.binomtest(x_is_a, 500).pvalue > 1e-4
    assert stats.binomtest(a_is_ours, 500).pvalue > 1e-4
    pairs = plan_trials(CLIPS[:1], Design("ab", trials_per_pair=5))
    assert len(pairs) == 3 * 5, "the original is one more system"


@pytest.mark.parametrize("wrong", [{"test": "guess"}, {"anchors": ("loud",)}, {"repeats": 1.5}, {"trials_per_pair": 0}])
def test_a_design_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values()))).strip("(),'")):
        Design(**wrong)


# statistics


def listeners(raters=8, clips=6, noise=6.0, repeat=False, seed=0) -> pd.DataFrame:
    """Simulated answers: the original 95, ours 80, theirs 70, the anchor 30; each rater has an own offset."""
    rng = np.random.default_rng(seed)
    quality = {"original": 95, "ours": 80, "theirs": 70, "anchor": 30}
    roles = {"original": REFERENCE, "anchor": LOW_PASS}
    rows = []
    for rater in range(raters):
        offset = rng.normal(0, 4)
        for clip in range(clips):
            for time in range(2 if repeat else 1):
                for system, mean in quality.items():
                    score = np.clip(np.round(rng.normal(mean + offset, noise, 4)), 1, 100)
                    rows.append(
                        {
                            "rater": f"r{rater}",
                            "clip": f"c{clip}",
                            "trial": f"{rater}-{clip}-{time}",
                            "repeat_of": f"{rater}-{clip}-0" if time else None,
                            "test": "rating",
                            "system": system,
                            "role": roles.get(system, SYSTEM),
                            **dict(zip(SCALE_KEYS, score, strict=True)),
                        }
                    )
    return pd.DataFrame(rows)


def choices(test: str, answers: list[str | None], correct: list | None = None) -> pd.DataFrame:
    sides = [("a", "b") if n % 2 else ("b", "a") for n in range(len(answers))]
    return pd.DataFrame(
        {
            "test": test,
            "first": [first for first, _ in sides],
            "second": [second for _, second in sides],
            "answer": answers,
            "correct": correct or [None] * len(answers),
        }
    )


def test_mean_interval_is_students():
    # Student's sleep data, first drug (1908): mean 0.75, 95 % interval -0.5297804 to 2.0297804 (R's t.test).
    sleep = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    mean, half_width, n = listening_stats.mean_interval(sleep)
    assert (n, mean) == (10, pytest.approx(0.75))
    assert half_width == pytest.approx(2.0297804 - 0.75, abs=1e-6)
    assert listening_stats.mean_interval([]).n == 0
    assert np.isnan(listening_stats.mean_interval([5]).half_width)
    assert listening_stats.mean_interval([7, 7, np.nan]) == (7, 0, 2)


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(2000):
        mean, half_width, _ = listening_stats.mean_interval(rng.normal(60, 10, 12))
        hits += abs(mean - 60) <= half_width
    assert 0.935 < hits / 2000 < 0.965


def test_score_table_is_table_two():
    table = listening_stats.score_table(listeners())
    assert table.system.tolist() == ["original", "ours", "theirs", "anchor"]
    assert (table.n == 48).all()
    ours = table.set_index("system").loc["ours"]
    for scale in SCALE_KEYS:
        assert ours[scale] == pytest.approx(80, abs=5) and 0.5 < ours[f"{scale}_ci"] < 4
    once, twice = listeners(), listeners(repeat=True)
    assert (listening_stats.score_table(twice).n == listening_stats.score_table(once).n).all(), (
        "a repeat is not one more opinion"
    )


def test_paired_tests_find_what_is_there_and_no_more():
    tests = listening_stats.paired_tests(listeners())
    assert len(tests) == 4 * 6
    assert (tests.p_holm < 0.001).all()
    row = tests.query("scale == 'OQ' and first == 'ours' and second == 'theirs'").iloc[0]
    assert row.n == 48 and row.difference == pytest.approx(10, abs=3)
    assert row.difference - row.ci < 10 < row.difference + row.ci
    # No difference at all: of 40 studies of 24 comparisons each, at most a few cry wolf after Holm.
    rng = np.random.default_rng(1)
    false_alarms = 0
    for seed in range(40):
        same = listeners(raters=4, clips=4, seed=seed)
        same[list(SCALE_KEYS)] = rng.integers(40, 80, (len(same), 4))
        false_alarms += (listening_stats.paired_tests(same).p_holm < 0.05).any()
    assert false_alarms <= 6


def test_holm_is_rs_p_adjust():
    p = np.array([0.01, 0.04, 0.03, np.nan, 0.005])
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") is 0.03 0.06 0.06 0.02
    assert listening_stats.holm(p)[[0, 1, 2, 4]] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert np.isnan(listening_stats.holm(p)[3])


def test_consistency_tells_a_careful_rater_from_a_random_one():
    careful, careless = listeners(1, noise=2.0, repeat=True), listeners(1, repeat=True)
    careless["rater"] = "careless"
    careless[list(SCALE_KEYS)] = np.random.default_rng(2).integers(1, 101, (len(careless), 4))
    table = listening_stats.consistency(pd.concat([careful, careless])).set_index("rater")
    assert table.repeats.tolist() == [6 * 4 * 4] * 2
    assert table.loc["r0", "within_sd"] == pytest.approx(2, abs=0.6)
    assert table.loc["careless", "within_sd"] == pytest.approx(29, abs=5)
    assert table.loc["r0", "correlation"] > 0.9 > 0.4 > table.loc["careless", "correlation"]
    assert table.loc["r0", "reliable"] and not table.loc["careless", "reliable"]
    assert table.loc["r0", "anchor_missed"] == 0 < table.loc["careless", "anchor_missed"]


def test_abx_p_value():
    # 12 of 16 right: p = 0.0384, the textbook case; 16 of 16: 2^-16.
    table = listening_stats.abx_table(choices("abx", ["a"] * 16, [1] * 12 + [0] * 4))
    assert len(table) == 1, "sides do not make another pair"
    row = table.iloc[0]
    assert (row["first"], row["second"], row.n, row.correct) == ("a", "b", 16, 12)
    assert row.p == pytest.approx(0.0384, abs=5e-5)
    assert row.low < 0.75 < row.high
    assert listening_stats.abx_table(choices("abx", ["a"] * 16, [1] * 16)).p[0] == pytest.approx(2**-16)
    assert listening_stats.abx_table(choices("abx", ["a"] * 16, [0] * 16)).p[0] == 1


def test_ab_counts_preferences_whichever_side():
    table = listening_stats.ab_table(choices("ab", ["a"] * 9 + ["b"] + [None] * 3))
    assert table.iloc[0].tolist()[:6] == ["a", "b", 13, 9, 1, 3]
    assert table.p[0] == pytest.approx(2 * 11 / 1024)  # R: binom.test(9, 10)
    assert np.isnan(listening_stats.ab_table(choices("ab", [None, None])).p[0])


def test_nothing_at_all_is_an_empty_table(tmp_path):
    from stav2a.listening.store import RatingStore

    store = RatingStore(tmp_path / "r.sqlite")
    assert listening_stats.score_table(store.ratings()).empty
    assert listening_stats.paired_tests(store.ratings()).empty
    assert listening_stats.consistency(store.ratings()).empty
    assert listening_stats.abx_table(store.choices()).empty
    assert listening_stats.ab_table(store.choices()).empty
    one = listeners(raters=1, clips=1)
    assert np.isnan(listening_stats.score_table(one).OQ_ci).all()
    assert np.isnan(listening_stats.paired_tests(one).p).all()
    assert np.isnan(listening_stats.consistency(one).difference[0])


def test_long_names_are_cut_where_they_do_not_differ():
    seeds = [f"w 3 · 10 steps · dpm++2m · seed {seed}" for seed in (2081732196, 2081732197)]
    labels = short_names([*seeds, "original", f"ours {'x' * 40}"])
    assert labels[0].endswith("seed 2081732196") and labels[2] == "original"
    assert len(set(labels)) == 4 and all(len(label) <= 26 for label in labels)
    assert labels[1].endswith("2081732197") and labels[3].startswith("ours xxx") and labels[3].endswith("…")
