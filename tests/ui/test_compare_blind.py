"""The blind tests of the Compare tab: options, secrets, restarts, forged input, own answers as a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stav2a.listening.design import LOW_PASS, REFERENCE, SCALE_KEYS, SHIFTED, Design
from stav2a.media.limits import InputError
from stav2a.ui.compare.blind_tests import STUDY, BlindTests
from stav2a.ui.history import History
from stav2a.ui.widgets.blind import answer, screen

# ---- blind tests


@pytest.fixture
def tests(made, tmp_path) -> BlindTests:
    return BlindTests(made[0], tmp_path / "ratings.sqlite")


def rate(tests: BlindTests, visit: str, session: str, score: int) -> dict:
    shown = screen(tests.store, tests.collection(visit, session), session)
    rated = [sound["id"] for k, sound in enumerate(shown["sounds"]) if k != shown["reference"]]
    given = {"session": session, "trial": shown["trial"], "seconds": 3}
    if shown["test"] == "rating":
        given["scores"] = {each: dict.fromkeys(SCALE_KEYS, score + k) for k, each in enumerate(rated)}
    else:
        given["choice"] = rated[0]
    return answer(tests.store, tests.collection(visit, session), given)[0]


@pytest.mark.parametrize(
    ("design", "heard", "trials"),
    [
        (Design("rating", hidden_reference=False), {"system": 3}, 1),
        (Design("rating"), {"system": 3, REFERENCE: 1}, 1),
        (Design("rating", anchors=(LOW_PASS, SHIFTED)), {"system": 3, REFERENCE: 1, LOW_PASS: 1, SHIFTED: 1}, 1),
        (Design("rating", repeats=1.0), {"system": 3, REFERENCE: 1}, 2),
        (Design("ab", hidden_reference=False, trials_per_pair=2), None, 6),
        (Design("abx", hidden_reference=False, trials_per_pair=3), None, 9),
    ],
)
def test_every_option_of_the_blind_test_changes_it(made, tests, design, heard, trials):
    _, visit, first = made
    session = tests.begin(visit, tests.rater(""), first, design)
    assert tests.store.progress(session) == (0, trials)
    trial = tests.store.next_trial(session)
    roles = [each.role for each in trial.presented]
    if heard:
        assert {role: roles.count(role) for role in roles} == heard
    shown = screen(tests.store, tests.collection(visit, session), session)
    assert len(shown["sounds"]) == len(trial.presented)


def test_the_original_is_shown_by_name_only_where_it_was_asked_for(made, tests):
    _, visit, first = made
    for asked in (False, True):
        session = tests.begin(visit, tests.rater(""), first, Design(open_reference=asked))
        shown = screen(tests.store, tests.collection(visit, session), session)
        assert (shown["reference"] is not None) == asked


def test_nothing_that_a_page_gets_names_a_system(made, tests):
    _, visit, first = made
    session = tests.begin(visit, tests.rater(""), first, Design(anchors=(LOW_PASS, SHIFTED)))
    text = json.dumps(screen(tests.store, tests.collection(visit, session), session))
    for word in ("guidance", "original", LOW_PASS, SHIFTED, "role", "system", *(entry.id for entry in first)):
        assert word not in text
    assert not any(Path(entry.audio).stem in text for entry in first)


def test_no_caption_and_no_file_name_is_kept(made, tests):
    _, visit, first = made
    session = tests.begin(visit, tests.rater(""), first, Design())
    rate(tests, visit, session, 50)
    kept = tests.path.read_bytes() + b"".join(path.read_bytes() for path in tests.path.parent.glob("*-wal"))
    assert b"bounces" not in kept and b"clip.mp4" not in kept


def test_a_test_goes_on_after_a_restart(made, tests):
    history, visit, first = made
    rater = tests.rater("")
    session = tests.begin(visit, rater, first, Design("ab", hidden_reference=False))
    rate(tests, visit, session, 0)
    restarted = BlindTests(History(history.root), tests.path)
    assert restarted.unfinished(visit, rater) == session
    assert restarted.unfinished(history.visit(None), rater) is None, "another visit has not these sounds"
    assert restarted.unfinished(visit, "f" * 32) is None
    for _ in range(2):
        left = rate(restarted, visit, session, 0)
    assert left["finished"]
    assert restarted.unfinished(visit, rater) is None
    assert len(restarted.store.choices(STUDY, rater)) == 3


@pytest.mark.parametrize("forged", ["", "../..", "x" * 32, "0" * 32, 5, None, ["a"]])
def test_forged_sessions_and_raters_are_refused(made, tests, forged):
    _, visit, first = made
    tests.begin(visit, tests.rater(""), first, Design())
    with pytest.raises(InputError):
        tests.collection(visit, forged)
    assert not tests.is_rater(forged)
    assert len(tests.rater(forged)) == 32


def test_equal_names_are_told_apart(made):
    from stav2a.ui.compare.blind_tests import collection_of

    _, _, first = made
    clip = collection_of([first[0], first[0], first[1]]).clips[0]
    assert list(clip.systems) == ["guidance 1", "guidance 1 (2)", "guidance 3"]


# ---- a listener's own file


def test_own_answers_leave_as_csv_and_are_deleted_for_good(made, tests):
    from stav2a.listening.export import from_csv, to_csv
    from stav2a.listening.store import public_id
    from stav2a.ui.compare.blind_tests import DELETED, NOTHING_KEPT

    _, visit, first = made
    raters = [tests.rater("") for _ in range(2)]
    for score, rater in zip((20, 70), raters, strict=True):
        rate(tests, visit, tests.begin(visit, rater, first, Design()), score)
    text = to_csv(tests.store, STUDY, raters[0])
    assert public_id(raters[0]) in text and public_id(raters[1]) not in text
    assert not any(rater in to_csv(tests.store) for rater in raters), "an export must open nobody's answers"
    assert tests.forget(public_id(raters[0])) == NOTHING_KEPT and tests.forget(raters[0]) == DELETED
    assert set(tests.store.ratings(STUDY).rater) == {public_id(raters[1])}
    assert from_csv(tests.store, text) == 0
    assert tests.forget(None) == NOTHING_KEPT


def test_many_systems_of_strangers_cost_the_page_no_more(tests):
    from stav2a.listening.design import plan_trials
    from stav2a.ui.compare.results import MOST_SYSTEMS, results_html

    store = tests.store
    for number in range(60):
        systems = ["often heard", f"system {number}"]
        session = store.start_session(store.new_rater(), STUDY, plan_trials([(f"c{number}", systems, False)], Design()))
        trial = store.next_trial(session)
        store.rate(session, trial.id, {each.id: dict.fromkeys(SCALE_KEYS, 50) for each in trial.presented})
    shown = results_html(store, STUDY)
    assert "often heard" in shown and f"{61 - MOST_SYSTEMS} more were rated" in shown
    assert sum(f"system {number}<" in shown for number in range(60)) == MOST_SYSTEMS - 1
