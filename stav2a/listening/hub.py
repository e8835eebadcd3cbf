"""Ratings to a dataset on the Hugging Face hub and back, so that they outlive the machine that took them."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any

from stav2a.listening.export import from_csv, to_csv
from stav2a.listening.store import RatingStore

log = logging.getLogger(__name__)
EVERY_S = 30.0  # the hub takes 128 writes an hour to one repository
LAST_S = 20.0  # for what is left when the page ends


def upload(store: RatingStore, repo: str, study: str | None = None, api: Any = None) -> str:
    """Write the answers as `<study>.csv` (all: `ratings.csv`) to the dataset `repo`; returns the file's name.

    A dataset that does not exist is made, private. The file is replaced as a whole, so a deleted rater is gone
    from its newest version; earlier versions stay in the dataset's history.
    """
    api = api or _hub()
    name = _file(study)
    api.create_repo(repo, repo_type="dataset", private=True, exist_ok=True)
    api.upload_file(path_or_fileobj=to_csv(store, study).encode(), path_in_repo=name, repo_id=repo, repo_type="dataset")
    return name


def restore(store: RatingStore, repo: str, study: str | None = None, api: Any = None) -> int:
    """Add what the dataset holds and the store does not; returns the number of new trials.

    One trial that cannot be read must not keep back all others: it is noted and passed over.
    """
    api = api or _hub()
    if not api.file_exists(repo, _file(study), repo_type="dataset"):
        return 0
    path = api.hf_hub_download(repo, _file(study), repo_type="dataset")
    return from_csv(store, Path(path).read_bytes().decode(), strict=False)


class Sync:
    """Loads the answers of a dataset, then uploads new ones within `every_s` seconds, and at the end.

    Nothing is uploaded before the dataset is read, because a machine that starts with an empty file would overwrite its
    answers. Failures are logged and retried.
    """

    def __init__(self, store: RatingStore, repo: str, every_s: float = EVERY_S, api: Any = None) -> None:
        self.store, self.repo, self.every_s, self.api = store, repo, every_s, api
        self._restored = False
        self._kept: tuple[int, int, int] | None = None  # the version of the store that the dataset holds
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="stav2a-ratings-sync")

    def start(self) -> Sync:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Upload what is new and end; returns after `LAST_S` at the latest."""
        self._stop.set()
        self._thread.join(LAST_S)

    def once(self) -> bool:
        """Upload if anything changed since the last time."""
        with self._lock:
            if not self._restored:
                restore(self.store, self.repo, api=self.api)
                self._restored = True
            now = self.store.version()
            if now == self._kept:
                return False
            upload(self.store, self.repo, api=self.api)
            self._kept = now
            return True

    def forget(self, rater: str) -> tuple[bool, bool]:
        """Delete a rater here and in the dataset at once: (whether there was one, whether the dataset follows)."""
        gone = self.store.delete_rater(rater)
        return gone, not gone or self._tried()

    def _tried(self) -> bool:
        try:
            self.once()
        except Exception:
            log.exception("ratings could not be kept in %s; next try in %.0f s", self.repo, self.every_s)
            return False
        return True

    def _run(self) -> None:
        while True:
            ending = self._stop.is_set()
            self._tried()
            if ending:
                return
            self._stop.wait(self.every_s)


def sync_from_environment(ratings: Path) -> Sync | None:
    """Start syncing the file of ratings where `STAV2A_RATINGS_DATASET` names a dataset."""
    repo = os.environ.get("STAV2A_RATINGS_DATASET")
    return Sync(RatingStore(ratings), repo).start() if repo else None


def _file(study: str | None) -> str:
    safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in study) if study else "ratings"
    return f"{safe}.csv"


def _hub() -> Any:
    from huggingface_hub import HfApi

    return HfApi()
