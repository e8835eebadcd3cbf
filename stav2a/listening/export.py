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
import math
import sqlite3
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from stav2a.listening.design import RATED, SCALE_KEYS, TESTS, Presented, Trial
from stav2a.listening.store import RatingError, RatingStore

CONTEXT = ("study", "session", "rater", "trial", "position", "repeat_of", "clip", "test", "seconds", "day")
SOUND = ("system", "role", *SCALE_KEYS)
CHOICE = ("first", "second", "answer", "correct")
COLUMNS = (*CONTEXT, *SOUND, *CHOICE)
TEXT = ("study", "clip", "system", "first", "second", "answer")
# A spreadsheet runs a cell that begins like this as a formula. Names are data: they get a leading quote.
Rows = tuple[tuple[Presented, ...], str, list[tuple]]  # what a trial presents; statement and values of its answers
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")


def to_csv(store: RatingStore, study: str | None = None, rater: str | None = None) -> str:
    """All answers, or those of one study, or of one rater."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for frame in (store.ratings(study, rater), store.choices(study, rater)):
        for row in frame.to_dict("records"):
            writer.writerow({name: _cell(name, value) for name, value in row.items()})
    return out.getvalue()


def from_csv(store: RatingStore, text: str) -> int:
    """Add the answers of a CSV that `to_csv` wrote, all or nothing; returns how many trials were new."""
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise RatingError(f"this CSV lacks the column {missing[0]!r}; export one to see the form")
    new = 0
    with store.transaction() as connection:
        for _, group in groupby(enumerate(rows, start=2), key=lambda each: each[1]["trial"]):
            new += _add_trial(connection, list(group))
    return new


def raters_of(text: str, study: str) -> set[str]:
    """Whose answers a CSV holds; all of them must belong to `study`."""
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    others = {row.get("study") for row in rows} - {study}
    if others:
        raise RatingError(f"this CSV holds answers of another test: {str(others.pop())[:60]!r}")
    return {row.get("rater") or "" for row in rows}


def _add_trial(connection: sqlite3.Connection, numbered: list[tuple[int, dict]]) -> bool:
    line, head = numbered[0]
    head = {name: _plain(name, head[name] or "") for name in COLUMNS}
    if head["test"] not in TESTS:
        raise RatingError(f"line {line}: test is {head['test']!r}, known are {', '.join(TESTS)}")
    for name in ("study", "session", "rater", "trial", "clip", "day"):
        if not head[name]:
            raise RatingError(f"line {line}: {name} is empty")
    position = int(_number(line, "position", head["position"], 0, 1_000_000))
    seconds = _number(line, "seconds", head["seconds"] or "0", 0, 86_400)
    if connection.execute("SELECT 1 FROM trial WHERE id = ?", (head["trial"],)).fetchone():
        return False
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
        sound = Presented(f"{head['trial']}-{number}", _plain("system", row["system"] or ""), row["role"] or "")
        if not sound.system or not sound.role:
            raise RatingError(f"line {line}: system or role is empty")
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
