"""The rating store: what was acknowledged stays, whoever writes and whatever crashes."""

from __future__ import annotations

import csv
import io
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from stav2a.listening import statistics
from stav2a.listening.design import SCALE_KEYS, Design, plan_trials
from stav2a.listening.export import from_csv, to_csv
from stav2a.listening.store import MIGRATIONS, RatingError, RatingStore, public_id
from stav2a.ui.compare.results import results_html

CLIPS = [("dog", ["ours", "theirs"], True), ("drum", ["ours", "theirs"], True)]


@pytest.fixture
def store(tmp_path) -> RatingStore:
    return RatingStore(tmp_path / "ratings.sqlite")


def scores(trial, base: int = 50) -> dict:
    return {
        each.id: {scale: base + 5 * n + m for m, scale in enumerate(SCALE_KEYS)}
        for n, each in enumerate(sorted(trial.presented, key=lambda each: each.system))
    }


def answer_all(store: RatingStore, session: str, base: int = 50) -> int:
    count = 0
    while trial := store.next_trial(session):
        if trial.test == "rating":
            assert store.rate(session, trial.id, scores(trial, base), seconds=12)
        else:
            assert store.choose(session, trial.id, trial.presented[0].id)
        count += 1
    return count


def test_five_points_are_kept_and_nothing_above_them(store, tmp_path):
    """Opinions of ITU-T P.800, with a plan, an export and a table of their own."""
    trials = plan_trials(CLIPS, Design("mos", anchors=("low_pass",), repeats=1.0))
    assert {trial.test for trial in trials} == {"mos"} and len(trials) == 4 and len(trials[0].presented) == 4
    session = store.start_session(store.new_rater(), "s", trials)
    trial = store.next_trial(session)
    six = {each.id: dict.fromkeys(SCALE_KEYS, 6) for each in trial.presented}
    with pytest.raises(RatingError, match="rated from 1 to 5, not 6"):
        store.rate(session, trial.id, six)
    given = {"ours": 4, "theirs": 2, "original": 5, "anchor: 3.5 kHz low-pass": 1}
    while trial := store.next_trial(session):
        assert store.rate(
            session, trial.id, {e.id: dict.fromkeys(SCALE_KEYS, given[e.system]) for e in trial.presented}
        )
    table = statistics.score_table(store.ratings("s")).set_index("system")
    assert table.OQ.to_dict() == given
    listeners = statistics.consistency(store.ratings("s"))
    assert listeners.reliable.all() and listeners.reference_low.isna().all()  # BS.1534's rule is of its own scale
    other = RatingStore(tmp_path / "other.sqlite")
    text = to_csv(store)
    assert from_csv(other, text) == 4 and other.ratings().OQ.tolist() == store.ratings().OQ.tolist()
    with pytest.raises(RatingError):
        from_csv(RatingStore(tmp_path / "third.sqlite"), text.replace(",4,4,4,4", ",40,4,4,4", 1))
    html = results_html(store, "s")
    assert "Mean opinion, 1–5" in html and "1–100" not in html


def test_a_session_is_resumed_where_it_was_left(tmp_path):
    path = tmp_path / "ratings.sqlite"
    store = RatingStore(path)
    rater = store.new_rater()
    session = store.start_session(rater, "s", plan_trials(CLIPS, Design(repeats=1.0)))
    first = store.next_trial(session)
    assert store.rate(session, first.id, scores(first))

    reopened = RatingStore(path)  # the server was started anew
    assert reopened.unfinished_session(rater, "s") == session
    assert reopened.unfinished_session(rater, "another study") is None
    assert reopened.progress(session) == (1, 4)
    assert reopened.next_trial(session).id != first.id
    answer_all(reopened, session)
    assert reopened.unfinished_session(rater, "s") is None
    assert reopened.next_trial(session) is None
    assert reopened.progress(session) == (4, 4)
    frame = reopened.ratings("s")
    assert len(frame) == 4 * 3 and set(frame.rater) == {public_id(rater)}
    assert frame.query("system == 'ours' and clip == 'dog'").AQ.tolist() == [55, 55]
    assert frame.repeat_of.notna().sum() == 2 * 3


def test_an_answer_is_complete_and_stands(store):
    session = store.start_session(store.new_rater(), "s", plan_trials(CLIPS, Design()))
    trial = store.next_trial(session)
    good = scores(trial)
    some_id = trial.presented[0].id
    for bad in (
        {},
        None,
        {**good, "unknown": good[some_id]},
        {**good, some_id: {**good[some_id], "AQ": 0}},
        {**good, some_id: {**good[some_id], "AQ": 101}},
        {**good, some_id: {**good[some_id], "AQ": float("nan")}},
        {**good, some_id: {**good[some_id], "AQ": float("inf")}},
        {**good, some_id: {**good[some_id], "AQ": "50"}},
        {**good, some_id: {**good[some_id], "AQ": True}},
        {**good, some_id: {"AQ": 50}},
        {**good, some_id: 50},
    ):
        with pytest.raises(RatingError):
            store.rate(session, trial.id, bad)
    assert store.ratings().empty and store.progress(session) == (0, 2)
    assert store.rate(session, trial.id, good)
    assert not store.rate(session, trial.id, scores(trial, base=10)), "a second answer must not replace it"
    assert sorted(store.ratings().AQ) == [50, 55, 60]
    with pytest.raises(RatingError):
        store.rate("another session", trial.id, good)
    with pytest.raises(RatingError):
        store.choose(session, trial.id, some_id)


def test_abx_and_ab_choices(store):
    rater = store.new_rater()
    abx = store.start_session(rater, "abx", plan_trials(CLIPS, Design("abx", hidden_reference=False)))
    trial = store.next_trial(abx)
    a, b, x = trial.presented
    assert x.system in (a.system, b.system) and x.id not in (a.id, b.id)
    for bad in (None, x.id, "nothing", 3, ["a"]):
        with pytest.raises(RatingError):
            store.choose(abx, trial.id, bad)
    right = a if a.system == x.system else b
    assert store.choose(abx, trial.id, right.id)
    trial = store.next_trial(abx)
    a, b, x = trial.presented
    assert store.choose(abx, trial.id, (b if a.system == x.system else a).id)
    assert store.choices("abx").correct.tolist() == [1, 0]

    ab = store.start_session(rater, "ab", plan_trials(CLIPS, Design("ab", hidden_reference=False)))
    trial = store.next_trial(ab)
    assert store.choose(ab, trial.id, None)
    trial = store.next_trial(ab)
    assert store.choose(ab, trial.id, trial.presented[1].id)
    answers = store.choices("ab").answer
    assert answers.isna().tolist() == [True, False] and answers[1] == trial.presented[1].system


def test_eight_raters_at_once_lose_nothing(store):
    """Eight threads, each a rater with a store of its own on the same file, as fast as they can."""
    errors = []

    def rate() -> None:
        try:
            own = RatingStore(store.path)
            rater = own.new_rater()
            answer_all(own, own.start_session(rater, "crowd", plan_trials(CLIPS * 5, Design(repeats=0.5))))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=rate) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    frame = store.ratings("crowd")
    assert frame.rater.nunique() == 8
    assert (frame.groupby("rater").size() == 15 * 3).all()
    assert not frame[list(SCALE_KEYS)].isna().any().any()


WRITER = """
import sys
from stav2a.listening.store import RatingStore
from stav2a.listening.design import SCALE_KEYS, Design, plan_trials
store = RatingStore(sys.argv[1])
plan = plan_trials([("c", list("abcdefgh"), True)] * 5000, Design())
session = store.start_session(store.new_rater(), "crash", plan)
while trial := store.next_trial(session):
    store.rate(session, trial.id, {each.id: dict.fromkeys(SCALE_KEYS, 70) for each in trial.presented})
    print(trial.id, flush=True)  # acknowledged
"""


def test_killed_while_writing_keeps_every_acknowledged_answer_and_no_half_of_one(tmp_path):
    path = tmp_path / "ratings.sqlite"
    RatingStore(path)
    acknowledged = []
    for wait_s in (0.05, 0.11):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        acknowledged += [writer.stdout.readline().strip() for _ in range(2)]  # it is writing now
        time.sleep(wait_s)
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += writer.stdout.read().split()
        writer.wait()
        writer.stdout.close()
    # The last line may have been cut off by the kill.
    acknowledged = [trial for trial in acknowledged if len(trial) == 32]
    assert len(acknowledged) >= 4
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    store = RatingStore(path)
    frame = store.ratings("crash")
    assert set(acknowledged) <= set(frame.trial)
    assert (frame.groupby("trial").size() == 9).all()
    assert not frame[list(SCALE_KEYS)].isna().any().any()
    session = store.start_session(store.new_rater(), "crash", plan_trials(CLIPS, Design()))
    assert answer_all(store, session) == 2, "the file goes on being usable"


def test_deleting_a_rater_leaves_no_trace(store):
    stays, goes = store.new_rater(), store.new_rater()
    for rater in (stays, goes):
        answer_all(store, store.start_session(rater, "s", plan_trials(CLIPS, Design(repeats=1))))
        answer_all(store, store.start_session(rater, "x", plan_trials(CLIPS, Design("abx"))))
    trials_of_goes = set(store.ratings(rater=goes).trial)
    assert store.delete_rater(goes)
    assert not store.delete_rater(goes) and not store.has_rater(goes)
    assert set(store.ratings().rater) == set(store.choices().rater) == {public_id(stays)}
    files = b"".join(path.read_bytes() for path in store.path.parent.iterdir())
    for gone in (goes, public_id(goes), *trials_of_goes):
        assert gone.encode() not in files
    assert public_id(stays).encode() in files and stays.encode() not in files


def test_the_schema_holds_no_personal_data(store):
    with sqlite3.connect(store.path) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {row[1] for table in tables for row in connection.execute(f"PRAGMA table_info({table})")}
    assert columns == {
        *(
            "id",
            "rater",
            "study",
            "session",
            "position",
            "test",
            "clip",
            "repeat_of",
            "plan",
            "seconds",
            "day",
        ),
        *("trial", "stimulus", "system", "role", "scale", "score", "first", "second", "answer", "correct"),
        "mark",
    }


def test_csv_goes_out_and_comes_back(store, tmp_path):
    clips = [('dög, "1"\nb', ["=cmd()", "-theirs", "'quoted"], True)]
    rater = store.new_rater()
    answer_all(store, store.start_session(rater, "s", plan_trials(clips, Design(repeats=1))))
    answer_all(store, store.start_session(rater, "abx", plan_trials(clips, Design("abx", trials_per_pair=3))))
    ab = store.start_session(rater, "ab", plan_trials(clips, Design("ab")))
    store.choose(ab, store.next_trial(ab).id, None)
    text = to_csv(store)
    assert "\n=cmd" not in text and ",=cmd" not in text, "a spreadsheet must not run a name"

    other = RatingStore(tmp_path / "other.sqlite")
    assert from_csv(other, text) == 2 + 18 + 1
    assert to_csv(other) == text
    assert from_csv(other, text) == 0, "the same answers are not counted twice"
    assert other.ratings().system.tolist() == store.ratings().system.tolist()
    assert from_csv(store, to_csv(other, "s")) == 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: text.replace(",AQ,", ",A,", 1), "column 'AQ'"),
        (lambda text: text.replace(",rating,", ",guess,", 1), "line 2"),
        (lambda text: text.replace(",50,51,", ",50,151,"), "SA is 151"),
        (lambda text: text.replace(",50,51,", ",50,x,"), "SA is 'x'"),
        (lambda text: text.replace(",50,51,", ",50,nan,"), "SA is nan"),
        (lambda text: "", "column 'study'"),
    ],
)
def test_a_broken_csv_adds_nothing(store, tmp_path, change, sentence):
    answer_all(store, store.start_session(store.new_rater(), "s", plan_trials(CLIPS, Design())))
    other = RatingStore(tmp_path / "other.sqlite")
    with pytest.raises(RatingError, match=sentence):
        from_csv(other, change(to_csv(store)))
    assert other.ratings().empty


def test_a_newer_file_is_refused_and_left_alone(store):
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(RatingError, match="schema"):
        RatingStore(store.path)


# ---- hostile or damaged files of answers


def exported(store) -> str:
    answer_all(store, store.start_session(store.new_rater(), "s", plan_trials(CLIPS, Design(repeats=1))))
    return to_csv(store)


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\t=1", "\n=1", "'=1"])
def test_no_column_of_text_leaves_as_a_formula(store, cell):
    exported(store)
    with store.transaction() as connection:  # as if it had come in some way
        connection.execute("PRAGMA defer_foreign_keys = ON")
        for table, column in [
            ("rater", "id"),
            ("session", "rater"),
            ("session", "study"),
            ("trial", "clip"),
            ("trial", "day"),
            ("trial", "repeat_of"),
            ("rating", "role"),
            ("rating", "system"),
        ]:
            connection.execute(f"UPDATE {table} SET {column} = ?", (cell,))
    for row in csv.DictReader(io.StringIO(to_csv(store))):
        assert [name for name, value in row.items() if value.startswith(tuple("=+-@\t\r\n"))] == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: text.replace(",ours,", f",{'x' * 131_072},"), "line"),
        (lambda text: text.replace(",ours,", f",{'x' * 1000},"), "system is longer"),
        (lambda text: text.replace(",theirs,system,", ",theirs,boss,"), "role is 'boss'"),
        (lambda text: re.sub(r",20\d\d-\d\d-\d\d,", ",=NOW(),", text), "not a date"),
        (lambda text: re.sub(r"^s,[0-9a-f]{32},", "s,../../x,", text, flags=re.M), "no id of ours"),
        (lambda text: "\n".join([*text.split("\n")[:2], *text.split("\n")[1:2] * 40]), "sounds; at most"),
    ],
)  # fmt: skip
def test_a_hostile_csv_adds_nothing_and_holds_nothing_up(store, tmp_path, change, sentence):
    text = change(exported(store))
    other = RatingStore(tmp_path / "other.sqlite")
    with pytest.raises(RatingError, match=sentence):
        from_csv(other, text)
    assert other.ratings().empty
    good = exported(RatingStore(tmp_path / "third.sqlite")).split("\n", 1)[1]
    mixed = f"{text.rstrip()}\n{good}"
    assert from_csv(other, mixed, strict=False) >= 4, "what is sound in the same file is read"
    assert from_csv(RatingStore(tmp_path / "fourth.sqlite"), to_csv(other)) >= 4, (
        "what was read can be written and read"
    )


def test_an_export_opens_nothing(store):
    rater = store.new_rater()
    answer_all(store, store.start_session(rater, "s", plan_trials(CLIPS, Design())))
    text = to_csv(store)
    assert rater not in text and public_id(rater) in text
    assert not store.has_rater(public_id(rater)) and not store.delete_rater(public_id(rater))
    assert store.has_rater(rater)


def test_an_import_cannot_add_to_the_session_of_another(store):
    text = exported(store)
    session = text.split("\n")[1].split(",")[1]
    forged = re.sub(r"^s,[0-9a-f]{32},[0-9a-f]{32},[0-9a-f]", f"s,{session},{'a' * 32},0", text, flags=re.M)
    with pytest.raises(RatingError, match="another listener's"):
        from_csv(store, forged.replace(",0,,", ",90,,"))


def test_who_is_deleted_comes_back_from_no_copy(store):
    rater = store.new_rater()
    answer_all(store, store.start_session(rater, "s", plan_trials(CLIPS, Design())))
    copy = to_csv(store)
    store.delete_rater(rater)
    assert from_csv(store, copy) == 0 and store.ratings().empty and not store.has_rater(rater)


def test_ids_of_an_older_file_are_hashed_in_place(tmp_path):
    path, rater = tmp_path / "old.sqlite", "c" * 32
    with sqlite3.connect(path) as connection:
        connection.executescript(MIGRATIONS[0])
        connection.execute("INSERT INTO rater VALUES (?)", (rater,))
        connection.execute("INSERT INTO session VALUES ('e', ?, 's')", (rater,))
        connection.execute("PRAGMA user_version = 1")
    store = RatingStore(path)
    assert store.has_rater(rater)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT rater FROM session").fetchall() == [(public_id(rater),)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert rater.encode() not in path.read_bytes()


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RatingError, match="cannot be kept"):
        RatingStore(tmp_path / "file" / "ratings.sqlite")
