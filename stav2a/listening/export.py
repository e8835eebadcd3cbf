"""Ratings as CSV: one row per rated sound, one row per ab or abx trial; what is written can be read back.

Columns, the same in every row, empty where they do not apply:
    study, session, rater, trial, position, repeat_of, clip, test, seconds, day
    system, role, AQ, SA, TA, OQ     of a rated sound
    first, second, answer, correct   of a choice; an empty answer is "no preference"
"""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import re
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import groupby
from typing import Any

from stav2a.listening.design import ANCHORS, RATED, REFERENCE, SCALE_KEYS, SYSTEM, TESTS, Presented, Trial
from stav2a.listening.store import RatingError, RatingStore, deleted_mark

log = logging.getLogger(__name__)

CONTEXT = ("study", "session", "rater", "trial", "position", "repeat_of", "clip", "test", "seconds", "day")
SOUND = ("system", "role", *SCALE_KEYS)
CHOICE = ("first", "second", "answer", "correct")
COLUMNS = (*CONTEXT, *SOUND, *CHOICE)
TEXT = ("study", "session", "rater", "trial", "repeat_of", "clip", "test", "day", "system", "role", *CHOICE[:3])
Rows = tuple[tuple[Presented, ...], str, list[tuple]]  # what a trial presents; statement and values of its answers
# A spreadsheet runs a cell that begins like this as a formula. Text is data: it gets a leading quote.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
LONGEST_CELL = 300  # characters; names of systems are settings in words
MOST_SOUNDS = 32  # of a trial
ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
ROLES = (SYSTEM, REFERENCE, *ANCHORS)


def to_csv(store: RatingStore, study: str | None = None, rater: str | None = None) -> str:
    """All answers, or those of one study, or of one rater."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for frame in (store.ratings(study, rater), store.choices(study, rater)):
        for row in frame.to_dict("records"):
            writer.writerow({name: _cell(name, value) for name, value in row.items()})
    return out.getvalue()


def from_csv(store: RatingStore, text: str, strict: bool = True) -> int:
    """Add the answers of a CSV that `to_csv` wrote; returns how many trials were new.

    All or nothing where `strict`; else a trial that cannot be read is noted and passed over. Answers of a rater who was
    deleted here stay deleted.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    try:
        columns = reader.fieldnames or ()
    except csv.Error as error:
        raise RatingError(f"this is no CSV of answers: {error}") from error
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise RatingError(f"this CSV lacks the column {missing[0]!r}; export one to see the form")
    new = 0
    with store.transaction() as connection:
        for _, group in groupby(_rows(reader, strict), key=lambda each: each[1]["trial"]):
            connection.execute("SAVEPOINT trial")
            try:
                new += _add_trial(connection, list(group))
            except RatingError as error:
                if strict:
                    raise
                connection.execute("ROLLBACK TO trial")
                log.warning("a trial of a kept CSV is passed over: %s", error)
            connection.execute("RELEASE trial")
    return new


def _rows(reader: csv.DictReader, strict: bool) -> Iterator[tuple[int, dict]]:
    """Numbered rows; what is no row of CSV is an error, or noted and passed over."""
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if strict:
                raise RatingError(f"line {reader.line_num}: {error}") from error
            log.warning("a line of a kept CSV is passed over: %s", error)
        else:
            yield reader.line_num, row


def _add_trial(connection: sqlite3.Connection, numbered: list[tuple[int, dict]]) -> bool:
    line, head = numbered[0]
    if len(numbered) > MOST_SOUNDS:
        raise RatingError(f"line {line}: a trial has {len(numbered)} sounds; at most {MOST_SOUNDS} are read")
    head = {name: _plain(name, head[name] or "") for name in COLUMNS}
    for number, row in numbered:
        for name in COLUMNS:
            if len(row[name] or "") > LONGEST_CELL:
                raise RatingError(f"line {number}: {name} is longer than {LONGEST_CELL} characters")
    if head["test"] not in TESTS:
        raise RatingError(f"line {line}: test is {head['test']!r}, known are {', '.join(TESTS)}")
    for name in ("study", "session", "rater", "trial", "clip", "day"):
        if not head[name]:
            raise RatingError(f"line {line}: {name} is empty")
    for name in ("session", "rater", "trial", "repeat_of"):
        if head[name] and not ID.fullmatch(head[name]):
            raise RatingError(f"line {line}: {name} is {head[name]!r}, no id of ours")
    try:
        date.fromisoformat(head["day"])
    except ValueError:
        raise RatingError(f"line {line}: day is {head['day']!r}, not a date like 2026-01-31") from None
    position = int(_number(line, "position", head["position"], 0, 1_000_000))
    seconds = _number(line, "seconds", head["seconds"] or "0", 0, 86_400)
    if connection.execute("SELECT 1 FROM trial WHERE id = ?", (head["trial"],)).fetchone():
        return False
    if connection.execute("SELECT 1 FROM deleted WHERE mark = ?", (deleted_mark(head["rater"]),)).fetchone():
        return False
    owner = connection.execute("SELECT rater, study FROM session WHERE id = ?", (head["session"],)).fetchone()
    if owner not in (None, (head["rater"], head["study"])):
        raise RatingError(f"line {line}: the session is another listener's, or of another study")
    connection.execute("INSERT OR IGNORE INTO rater VALUES (?)", (head["rater"],))
    connection.execute(
        "INSERT OR IGNORE INTO session VALUES (?, ?, ?)", (head["session"], head["rater"], head["study"])
    )
    if connection.execute(
        "SELECT 1 FROM trial WHERE session = ? AND position = ?", (head["session"], position)
    ).fetchone():
        raise RatingError(f"line {line}: another trial has position {position} in this session")
    add = _rating_rows if head["test"] in RATED else _choice_row
    presented, statement, answers = add(head, numbered)
    plan = Trial(head["clip"], head["test"], presented, head["trial"], repeat_of=head["repeat_of"] or None)
    connection.execute(
        "INSERT INTO trial VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (plan.id, head["session"], position, plan.test, plan.clip, plan.repeat_of,
         json.dumps(plan.to_json()), seconds, head["day"]),
    )  # fmt: skip
    connection.executemany(statement, answers)
    return True


def _rating_rows(head: dict, numbered: Iterable[tuple[int, dict]]) -> Rows:
    presented, answers = [], []
    for number, (line, row) in enumerate(numbered):
        # The CSV has no ids of the page that was rated.
        role = _plain("role", row["role"] or "")
        sound = Presented(f"{head['trial']}-{number}", _plain("system", row["system"] or ""), role)
        if not sound.system:
            raise RatingError(f"line {line}: system is empty")
        if role not in ROLES:
            raise RatingError(f"line {line}: role is {role!r}, known are {', '.join(ROLES)}")
        presented.append(sound)
        for scale in SCALE_KEYS:
            score = _number(line, scale, row[scale] or "", 1, RATED[head["test"]])
            answers.append((head["trial"], sound.id, sound.system, sound.role, scale, round(score)))
    return tuple(presented), "INSERT INTO rating VALUES (?, ?, ?, ?, ?, ?)", answers


def _choice_row(head: dict, numbered: list[tuple[int, dict]]) -> Rows:
    line = numbered[0][0]
    first, second, answer = head["first"], head["second"], head["answer"] or None
    if len(numbered) != 1 or not first or not second or answer not in (first, second, None):
        raise RatingError(f"line {line}: a choice is one row whose answer is its first or its second system")
    correct = None
    if head["test"] == "abx":
        correct = int(_number(line, "correct", head["correct"], 0, 1))
    sounds = [Presented(f"{head['trial']}-{n}", system) for n, system in enumerate((first, second))]
    if correct is not None:
        x = (answer or "") if correct else (second if answer == first else first)
        sounds.append(Presented(f"{head['trial']}-2", x))
    row = (head["trial"], first, second, answer, correct)
    return tuple(sounds), "INSERT INTO choice VALUES (?, ?, ?, ?, ?)", [row]


def _cell(name: str, value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if name in TEXT and str(value).startswith(FORMULA_STARTS):
        return f"'{value}"
    return int(value) if isinstance(value, float) and name != "seconds" and value.is_integer() else value


def _plain(name: str, cell: str) -> str:
    return cell[1:] if name in TEXT and cell.startswith("'") else cell


def _number(line: int, name: str, cell: str, low: float, high: float) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise RatingError(f"line {line}: {name} is {cell!r}, not a number") from None
    if not low <= value <= high:
        raise RatingError(f"line {line}: {name} is {cell}, not between {low:g} and {high:g}")
    return value
