"""Answers of listeners in one SQLite file.

Many listeners may answer at once, from many threads and processes: the file is in WAL mode, every answer
is one transaction, and a writer waits for the one before it. `synchronous=FULL` makes an answer that was
acknowledged survive a crash of the process and of the machine. (WAL needs a local disk: do not put the file
on a network share.)

What is kept of a person is the hash of a random id, the answers, how long each took, and the day. The id itself is
with the person alone: it opens and deletes the answers, so neither the file nor an export may tell it.
`delete_rater` removes all of it, from the bytes of the file as well. A hash of the hash stays, so that no copy brings
the answers back.

    rater ─< session ─< trial ─< rating   one row per sound and scale
                              └─ choice   one row per ab or abx trial
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from pathlib import Path

import pandas as pd

from stav2a.listening.design import RATED, SCALE_KEYS, Trial, opaque_id

WAIT_S = 30.0  # that a writer waits for the others
# One entry per version of the schema; a file of an older version runs those it lacks. None is ever edited.
MIGRATIONS = (
    """
    CREATE TABLE rater (id TEXT PRIMARY KEY);
    CREATE TABLE session (
        id TEXT PRIMARY KEY,
        rater TEXT NOT NULL REFERENCES rater (id) ON DELETE CASCADE,
        study TEXT NOT NULL
    );
    CREATE INDEX session_rater ON session (rater, study);
    CREATE TABLE trial (
        id TEXT PRIMARY KEY,
        session TEXT NOT NULL REFERENCES session (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        test TEXT NOT NULL,
        clip TEXT NOT NULL,
        repeat_of TEXT,
        plan TEXT NOT NULL,
        seconds REAL,
        day TEXT,
        UNIQUE (session, position)
    );
    CREATE TABLE rating (
        trial TEXT NOT NULL REFERENCES trial (id) ON DELETE CASCADE,
        stimulus TEXT NOT NULL,
        system TEXT NOT NULL,
        role TEXT NOT NULL,
        scale TEXT NOT NULL,
        score INTEGER NOT NULL CHECK (score BETWEEN 1 AND 100),
        PRIMARY KEY (trial, stimulus, scale)
    );
    CREATE TABLE choice (
        trial TEXT PRIMARY KEY REFERENCES trial (id) ON DELETE CASCADE,
        first TEXT NOT NULL,
        second TEXT NOT NULL,
        answer TEXT,
        correct INTEGER
    );
    """,
    """
    PRAGMA defer_foreign_keys = ON;
    UPDATE session SET rater = public_id(rater);
    UPDATE rater SET id = public_id(id);
    CREATE TABLE deleted (mark TEXT PRIMARY KEY);
    """,
)


class RatingError(ValueError):
    """An answer or a file that cannot be used, in one plain sentence."""


def public_id(rater: str) -> str:
    """The public id of a rater, a hash of the 128 random bits of the private id."""
    return hashlib.sha256(f"stav2a rater {rater}".encode()).hexdigest()[:32]


def deleted_mark(public: str) -> str:
    """The mark that is kept of a deleted rater."""
    return hashlib.sha256(f"stav2a deleted {public}".encode()).hexdigest()[:32]


class RatingStore:
    """Raters, their sessions and their answers in the SQLite file at `path` (made when missing)."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise RatingError(f"answers cannot be kept in {self.path}: {reason.lower()}") from error
        with self.transaction() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > len(MIGRATIONS):
                raise RatingError(f"{self.path.name} has schema {version}, this software knows up to {len(MIGRATIONS)}")
            for statements in MIGRATIONS[version:]:
                # Not executescript, which would commit what the transaction has done so far.
                for statement in filter(str.strip, statements.split(";")):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    # raters and sessions

    def new_rater(self) -> str:
        rater = opaque_id()
        with self.transaction() as connection:
            connection.execute("INSERT INTO rater VALUES (?)", (public_id(rater),))
        return rater

    def has_rater(self, rater: str) -> bool:
        with self._read() as connection:
            return connection.execute("SELECT 1 FROM rater WHERE id = ?", (public_id(rater),)).fetchone() is not None

    def start_session(self, rater: str, study: str, trials: Sequence[Trial]) -> str:
        """Keep a plan for `rater`; from now on the session can be left and taken up again."""
        if not trials:
            raise RatingError("a session needs at least one trial")
        session = opaque_id()
        with self.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO rater VALUES (?)", (public_id(rater),))
            connection.execute("INSERT INTO session VALUES (?, ?, ?)", (session, public_id(rater), study))
            connection.executemany(
                "INSERT INTO trial (id, session, position, test, clip, repeat_of, plan)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (trial.id, session, position, trial.test, trial.clip, trial.repeat_of,
                     json.dumps(trial.to_json()))
                    for position, trial in enumerate(trials)
                ],
            )  # fmt: skip
        return session

    def unfinished_session(self, rater: str, study: str) -> str | None:
        """The newest session of `rater` in `study` that has trials without an answer."""
        with self._read() as connection:
            row = connection.execute(
                "SELECT session.id FROM session JOIN trial ON trial.session = session.id"
                " WHERE rater = ? AND study = ? AND day IS NULL ORDER BY session.rowid DESC LIMIT 1",
                (public_id(rater), study),
            ).fetchone()
        return row and row[0]

    def next_trial(self, session: str) -> Trial | None:
        """The first trial without an answer; None after the last."""
        with self._read() as connection:
            row = connection.execute(
                "SELECT plan FROM trial WHERE session = ? AND day IS NULL ORDER BY position LIMIT 1",
                (session,),
            ).fetchone()
        return row and Trial.from_json(json.loads(row[0]))

    def answered_trials(self, session: str) -> list[Trial]:
        """The plans of the trials that have an answer, in order; others stay secret."""
        with self._read() as connection:
            rows = connection.execute(
                "SELECT plan FROM trial WHERE session = ? AND day IS NOT NULL ORDER BY position", (session,)
            ).fetchall()
        return [Trial.from_json(json.loads(row[0])) for row in rows]

    def progress(self, session: str) -> tuple[int, int]:
        """Trials answered, and all of them."""
        with self._read() as connection:
            done, total = connection.execute(
                "SELECT COUNT(day), COUNT(*) FROM trial WHERE session = ?", (session,)
            ).fetchone()
        return done, total

    # answers

    def rate(self, session: str, trial: str, scores: Mapping[str, Mapping[str, int]], seconds: float = 0) -> bool:
        """Keep the answer of a rating or MOS trial: {stimulus id: {scale: score}}, complete, all at once.

        False when the trial was answered before: an answer stands, its sounds may have been named since.
        """
        with self.transaction() as connection:
            plan = self._open_trial(connection, session, trial, tuple(RATED))
            if plan is None:
                return False
            if not isinstance(scores, Mapping) or set(scores) != {each.id for each in plan.presented}:
                raise RatingError(f"an answer rates all {len(plan.presented)} sounds of its trial, and no others")
            rows = [
                (trial, each.id, each.system, each.role, scale, _score(scores[each.id], scale, RATED[plan.test]))
                for each in plan.presented
                for scale in SCALE_KEYS
            ]
            connection.executemany("INSERT INTO rating VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._close_trial(connection, trial, seconds)
        return True

    def choose(self, session: str, trial: str, stimulus: str | None, seconds: float = 0) -> bool:
        """Keep the answer of an ab or abx trial: the id of the better sound, or of the sound that X is.

        None is "no preference" and belongs to ab alone: abx is a forced choice. False as in `rate`.
        """
        with self.transaction() as connection:
            plan = self._open_trial(connection, session, trial, ("ab", "abx"))
            if plan is None:
                return False
            a, b = plan.presented[:2]
            systems = {a.id: a.system, b.id: b.system}
            if stimulus is None and plan.test == "abx":
                raise RatingError("an ABX trial needs a choice: X is A, or X is B")
            if stimulus is not None and not (isinstance(stimulus, str) and stimulus in systems):
                raise RatingError("the chosen sound is not one of this trial's two")
            answer = None if stimulus is None else systems[stimulus]
            correct = int(answer == plan.presented[2].system) if plan.test == "abx" else None
            connection.execute(
                "INSERT INTO choice VALUES (?, ?, ?, ?, ?)", (trial, a.system, b.system, answer, correct)
            )
            self._close_trial(connection, trial, seconds)
        return True

    def delete_rater(self, rater: str) -> bool:
        """Remove a rater and every answer of theirs, also from the file's free pages. False when unknown."""
        return self.delete_public(public_id(rater))

    def delete_public(self, public: str) -> bool:
        """`delete_rater` by what an export names: for whoever keeps the file."""
        with self.transaction() as connection:
            gone = connection.execute("DELETE FROM rater WHERE id = ?", (public,)).rowcount > 0
            if gone:
                connection.execute("INSERT OR IGNORE INTO deleted VALUES (?)", (deleted_mark(public),))
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return gone

    # reading

    def ratings(self, study: str | None = None, rater: str | None = None) -> pd.DataFrame:
        """One row per rated sound: `_CONTEXT`'s columns, then system, role, AQ, SA, TA, OQ."""
        scores = ", ".join(f"MAX(CASE scale WHEN '{key}' THEN score END) AS {key}" for key in SCALE_KEYS)
        return self._frame(
            f"SELECT {_CONTEXT}, system, role, {scores}"
            f" FROM rating JOIN trial ON rating.trial = trial.id {_SESSION} {{where}}"
            " GROUP BY rating.trial, rating.stimulus ORDER BY session.rowid, position, MIN(rating.rowid)",
            study, rater,
        )  # fmt: skip

    def choices(self, study: str | None = None, rater: str | None = None) -> pd.DataFrame:
        """One row per ab or abx trial: `_CONTEXT`'s columns, then first, second, answer, correct."""
        return self._frame(
            f"SELECT {_CONTEXT}, first, second, answer, correct"
            f" FROM choice JOIN trial ON choice.trial = trial.id {_SESSION} {{where}}"
            " ORDER BY session.rowid, position",
            study, rater,
        )  # fmt: skip

    def version(self) -> tuple[int, int, int]:
        """Differs whenever answers were given or deleted; costs next to nothing."""
        with self._read() as connection:
            counts = "(SELECT COUNT(day) FROM trial), (SELECT COUNT(*) FROM rater), (SELECT COUNT(*) FROM deleted)"
            answers, raters, deleted = connection.execute(f"SELECT {counts}").fetchone()
        return answers, raters, deleted

    # inside

    def _frame(self, query: str, study: str | None, rater: str | None) -> pd.DataFrame:
        wanted = {"study": study, "rater": rater and public_id(rater)}
        where = " AND ".join(f"{name} = :{name}" for name, value in wanted.items() if value is not None)
        with self._read() as connection:
            return pd.read_sql_query(query.format(where=f"WHERE {where}" if where else ""), connection, params=wanted)

    def _open_trial(
        self, connection: sqlite3.Connection, session: str, trial: str, tests: tuple[str, ...]
    ) -> Trial | None:
        row = connection.execute(
            "SELECT plan, day FROM trial WHERE id = ? AND session = ?", (str(trial), str(session))
        ).fetchone()
        if row is None:
            raise RatingError("this trial does not belong to your session; reload the page to go on")
        plan = Trial.from_json(json.loads(row[0]))
        if plan.test not in tests:
            raise RatingError(f"this is an answer for {' or '.join(tests)}, the trial is {plan.test}")
        return None if row[1] else plan

    def _close_trial(self, connection: sqlite3.Connection, trial: str, seconds: float) -> None:
        seconds = min(max(float(seconds), 0.0), 86_400.0)
        day = datetime.now(timezone.utc).date().isoformat()
        connection.execute("UPDATE trial SET seconds = ?, day = ? WHERE id = ?", (round(seconds, 1), day, trial))

    def _connect(self) -> sqlite3.Connection:
        # isolation_level=None: transactions are the explicit BEGIN IMMEDIATE below. A deferred one that
        # starts by reading would fail at once, without waiting, when another writer came in between.
        connection = sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None)
        connection.create_function("public_id", 1, public_id, deterministic=True)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        return connection

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with closing(self._connect()) as connection:
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")


_CONTEXT = "study, rater, session, trial.id AS trial, position, repeat_of, clip, test, seconds, day"
_SESSION = "JOIN session ON trial.session = session.id"


def _score(scores: Mapping[str, int], scale: str, best: int) -> int:
    """The integer from 1 to `best` that a page sent for `scale`. Other values are refused."""
    score = scores.get(scale) if isinstance(scores, Mapping) else None
    if not isinstance(score, int | float) or isinstance(score, bool) or not float(score).is_integer():
        raise RatingError(f"{scale} needs a whole number from 1 to {best}")
    if not 1 <= score <= best:
        raise RatingError(f"{scale} is rated from 1 to {best}, not {score:g}")
    return int(score)
