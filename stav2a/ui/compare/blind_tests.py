"""The blind tests of a public page: the sounds of each visitor's test, stored with the visit's files.

Ratings have no caption and no file name: a clip is a hash, a system is named by its settings. The rating store has
the plan; the visit's folder says which sounds a session uses, so that a reloaded page can continue.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import soundfile

from stav2a.listening.collection import Collection, ListeningClip
from stav2a.listening.design import Design
from stav2a.listening.hub import Sync
from stav2a.listening.store import RatingStore
from stav2a.media.limits import InputError
from stav2a.ui.compare.entries import Entry, every
from stav2a.ui.history import History
from stav2a.ui.own_folder import write_whole

STUDY = "compare"
SESSION = re.compile(r"[0-9a-f]{32}")
NOTHING_KEPT = "You have no saved answers."
DELETED = "Your answers are deleted."
KEPT = 64  # collections in memory; others are read from disk
GONE = "The sounds of this test are no longer on the server; begin a new test."


def ratings_path() -> Path:
    """File of the answers: `STAV2A_RATINGS`, else one in the user's data folder."""
    if named := os.environ.get("STAV2A_RATINGS"):
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "stav2a" / "ratings.sqlite"


class BlindTests:
    """Tests of all visits of one server; thread-safe. The file at `path` is created with the first test."""

    def __init__(self, history: History, path: Path, sync: Sync | None = None):
        self.history, self.path, self.sync = history, Path(path), sync
        self._collections: OrderedDict[str, Collection] = OrderedDict()
        self._lock = threading.Lock()

    @cached_property
    def store(self) -> RatingStore:
        return RatingStore(self.path)

    def rater(self, known: object) -> str:
        """This listener's id; a new one if this server does not know `known`."""
        return known if self.is_rater(known) else self.store.new_rater()

    def is_rater(self, known: object) -> bool:
        return isinstance(known, str) and bool(SESSION.fullmatch(known)) and self.store.has_rater(known)

    def forget(self, known: object) -> str:
        """Delete this listener's answers; returns a sentence about it."""
        if not (self.path.exists() and self.is_rater(known)):
            return NOTHING_KEPT
        return forgotten(self.store, str(known), self.sync)

    def begin(self, visit: str, rater: str, picked: Sequence[Entry], design: Design) -> str:
        """Start a session with these sounds; returns its id."""
        collection = collection_of(picked)
        trials = collection.plan(design)
        if not trials:
            raise InputError("There is nothing to compare with these options.")
        session = self.store.start_session(rater, STUDY, trials)
        folder = self.history.new_folder(visit, f"blind-{session}")
        write_whole(folder / "sounds.json", json.dumps([entry.id for entry in picked]))
        self._remember(session, collection)
        return session

    def collection(self, visit: str, session: str) -> Collection:
        """The sounds of a session of this visit; `InputError` if it belongs to another visit or was removed."""
        if not SESSION.fullmatch(str(session)):
            raise InputError(GONE)
        paths = sorted(self.history.folder(visit).glob(f"*-blind-{session}/sounds.json"))
        if not paths:
            raise InputError(GONE)
        with self._lock:
            if session in self._collections:
                return self._collections[session]
        known = every(self.history, visit)
        ids = json.loads(paths[0].read_text(encoding="utf-8"))
        if any(each not in known for each in ids):
            raise InputError(GONE)
        collection = collection_of([known[each] for each in ids])
        self._remember(session, collection)
        return collection

    def unfinished(self, visit: str, known: object) -> str | None:
        """This listener's session that can be continued, or None."""
        if not self.path.exists() or not self.is_rater(known):
            return None
        session = self.store.unfinished_session(known, STUDY)
        try:
            return session if session and self.collection(visit, session) else None
        except InputError:
            return None  # its sounds were removed

    def _remember(self, session: str, collection: Collection) -> None:
        with self._lock:
            self._collections[session] = collection
            while len(self._collections) > KEPT:
                self._collections.popitem(last=False)


def forgotten(store: RatingStore, rater: str, sync: Sync | None) -> str:
    """Delete a rater here and in the dataset with the copy; returns a sentence about it."""
    gone, copied = sync.forget(rater) if sync else (store.delete_rater(rater), True)
    if not gone:
        return NOTHING_KEPT
    return DELETED if copied else f"{DELETED} A copy elsewhere cannot be reached now; it is deleted later."


def collection_of(picked: Sequence[Entry]) -> Collection:
    """The picked sounds as systems for one clip; equal names are numbered."""
    systems: dict[str, Path] = {}
    for entry in picked:
        name, number = entry.name, 2
        while name in systems:
            name, number = f"{entry.name} ({number})", number + 1
        systems[name] = Path(entry.audio)
    original = next((entry.original for entry in picked if entry.original), None)
    video = next((entry.video for entry in picked if entry.video), None)
    clip = ListeningClip(picked[0].clip, systems, original and Path(original), video and Path(video))
    return Collection(STUDY, (clip,), soundfile.info(picked[0].audio).samplerate)
