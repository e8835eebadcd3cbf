"""Ratings to a dataset on the Hugging Face hub, so that they outlive the machine that took them."""

from __future__ import annotations

import logging
import os
import threading

from .ratings import RatingStore
from .ratings_csv import to_csv

log = logging.getLogger(__name__)
EVERY_S = 600.0


def upload(store: RatingStore, repo: str, study: str | None = None, api=None) -> str:
    """Write the answers as `<study>.csv` (all: `ratings.csv`) to the dataset `repo`; returns the file's name.

    A dataset that does not exist is made, private. The file is replaced as a whole, so a deleted rater is gone
    from its newest version; earlier versions stay in the dataset's history.
    """
    if api is None:
        from huggingface_hub import HfApi

        api = HfApi()
    safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in study) if study else "ratings"
    name = f"{safe}.csv"
    api.create_repo(repo, repo_type="dataset", private=True, exist_ok=True)
    api.upload_file(path_or_fileobj=to_csv(store, study).encode(), path_in_repo=name, repo_id=repo, repo_type="dataset")
    return name


class Sync:
    """Uploads from time to time while there is something new. A failure is logged and tried again."""

    def __init__(self, store: RatingStore, repo: str, every_s: float = EVERY_S, api=None):
        self.store, self.repo, self.every_s, self.api = store, repo, every_s, api
        self._last = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="stav2a-ratings-sync")

    def start(self) -> Sync:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def once(self) -> bool:
        """Upload if anything changed since the last time."""
        now = to_csv(self.store)
        if now == self._last:
            return False
        upload(self.store, self.repo, api=self.api)
        self._last = now
        return True

    def _run(self) -> None:
        while not self._stop.wait(self.every_s):
            try:
                self.once()
            except Exception:
                log.exception("ratings could not be written to %s; next try in %.0f s", self.repo, self.every_s)


def sync_from_environment(store: RatingStore) -> Sync | None:
    """Start syncing where `STAV2A_RATINGS_DATASET` names a dataset."""
    repo = os.environ.get("STAV2A_RATINGS_DATASET")
    return Sync(store, repo).start() if repo else None
