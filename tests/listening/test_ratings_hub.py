"""Answers kept in a dataset: they outlive the machine, nothing overwrites them, and who is deleted stays deleted."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from stav2a.listening import hub as ratings_hub
from stav2a.listening.design import SCALE_KEYS, Design, plan_trials
from stav2a.listening.export import to_csv
from stav2a.listening.hub import Sync, restore, sync_from_environment, upload
from stav2a.listening.store import RatingStore, public_id

REPO = "somebody/answers"


class Dataset:
    """What the hub does, on this disk; `fails` lets that many calls fail."""

    def __init__(self, folder: Path):
        self.folder, self.fails, self.uploads, self.private = folder, 0, 0, None

    def _reach(self) -> None:
        if self.fails:
            self.fails -= 1
            raise ConnectionError("the hub does not answer")

    def create_repo(self, repo, repo_type, private, exist_ok):
        self._reach()
        assert (repo, repo_type, exist_ok) == (REPO, "dataset", True)
        self.private = private

    def upload_file(self, path_or_fileobj, path_in_repo, repo_id, repo_type):
        self._reach()
        (self.folder / path_in_repo).write_bytes(path_or_fileobj)
        self.uploads += 1

    def file_exists(self, repo, name, repo_type):
        self._reach()
        return (self.folder / name).exists()

    def hf_hub_download(self, repo, name, repo_type):
        self._reach()
        return str(self.folder / name)


@pytest.fixture
def hub(tmp_path) -> Dataset:
    (tmp_path / "hub").mkdir()
    return Dataset(tmp_path / "hub")


def answered(path: Path, study: str = "s") -> tuple[RatingStore, str]:
    """A store with one listener's answers to two trials."""
    store = RatingStore(path)
    rater = store.new_rater()
    trials = plan_trials([("dog", ["ours", "theirs"], True), ("drum", ["ours", "theirs"], True)], Design())
    session = store.start_session(rater, study, trials)
    while trial := store.next_trial(session):
        store.rate(session, trial.id, {each.id: dict.fromkeys(SCALE_KEYS, 50) for each in trial.presented})
    return store, rater


def test_one_study_goes_into_its_own_private_file(hub, tmp_path):
    store, _ = answered(tmp_path / "a.sqlite", "my study/1")
    assert upload(store, REPO, "my study/1", api=hub) == "my-study-1.csv"
    assert hub.private is True
    assert (hub.folder / "my-study-1.csv").read_bytes().decode() == to_csv(store, "my study/1")


def test_a_new_machine_takes_in_what_is_there_before_it_writes(hub, tmp_path):
    """A Space that starts again has an empty disk: it must not replace the answers by nothing."""
    before, _ = answered(tmp_path / "before.sqlite")
    assert Sync(before, REPO, api=hub).once()
    after, _ = answered(tmp_path / "after.sqlite")
    hub.fails = 1
    sync = Sync(after, REPO, api=hub)
    with pytest.raises(ConnectionError):
        sync.once()
    assert hub.uploads == 1, "nothing is written before the dataset was read"
    assert sync.once()
    assert after.ratings().rater.nunique() == 2
    assert (hub.folder / "ratings.csv").read_bytes().decode() == to_csv(after)
    assert not sync.once() and hub.uploads == 2, "nothing new, nothing written"
    assert restore(after, REPO, api=hub) == 0, "the same answers are not counted twice"


def test_who_is_deleted_is_gone_from_the_newest_version(hub, tmp_path):
    store, rater = answered(tmp_path / "a.sqlite")
    sync = Sync(store, REPO, api=hub)
    assert sync.once() and store.delete_rater(rater) and sync.once()
    assert public_id(rater) not in (hub.folder / "ratings.csv").read_text(encoding="utf-8")


def test_a_failure_is_noted_and_tried_again(hub, tmp_path, caplog):
    store, _ = answered(tmp_path / "a.sqlite")
    hub.fails = 2
    sync = Sync(store, REPO, every_s=0.02, api=hub).start()
    for _ in range(500):
        if hub.uploads:
            break
        sync._stop.wait(0.02)
    sync.stop()
    assert hub.uploads == 1
    assert caplog.text.count("could not be kept in somebody/answers") == 2


def test_it_is_asked_for_by_the_environment(hub, tmp_path, monkeypatch):
    path = tmp_path / "a.sqlite"
    assert sync_from_environment(path) is None and not path.exists()
    monkeypatch.setenv("STAV2A_RATINGS_DATASET", REPO)
    monkeypatch.setattr(ratings_hub, "_hub", lambda: hub)
    store, _ = answered(path)
    sync = sync_from_environment(path)
    for _ in range(500):
        if hub.uploads:
            break
        sync._stop.wait(0.02)
    sync.stop()
    assert (hub.folder / "ratings.csv").read_bytes().decode() == to_csv(store)


def test_the_last_answers_are_kept_when_the_page_ends(hub, tmp_path):
    """A Space that restarts sends a signal; what was answered since the last upload must not be lost."""
    store = RatingStore(tmp_path / "a.sqlite")
    sync = Sync(store, REPO, every_s=3600, api=hub).start()
    while not hub.uploads:
        time.sleep(0.01)
    answered(tmp_path / "a.sqlite")
    sync.stop()
    fresh = RatingStore(tmp_path / "fresh.sqlite")
    assert restore(fresh, REPO, api=hub) == 2


def test_a_listener_is_known_again_on_a_new_machine(hub, tmp_path):
    store, rater = answered(tmp_path / "a.sqlite")
    assert Sync(store, REPO, api=hub).once()
    fresh = RatingStore(tmp_path / "fresh.sqlite")
    restore(fresh, REPO, api=hub)
    assert fresh.has_rater(rater) and len(fresh.ratings(rater=rater)) == 6


def test_a_deletion_reaches_the_copy_at_once_or_says_so(hub, tmp_path):
    store, rater = answered(tmp_path / "a.sqlite")
    sync = Sync(store, REPO, api=hub)
    sync.once()
    assert sync.forget(rater) == (True, True)
    assert restore(RatingStore(tmp_path / "fresh.sqlite"), REPO, api=hub) == 0
    again = answered(tmp_path / "a.sqlite")[1]
    sync.once()
    hub.fails = 1
    assert sync.forget(again) == (True, False)
    assert sync.once() and restore(store, REPO, api=hub) == 0
    assert sync.forget("nobody") == (False, True)


def test_a_poisoned_copy_blocks_nothing(hub, tmp_path, caplog):
    store, _ = answered(tmp_path / "a.sqlite")
    poison = to_csv(store).replace(",ours,", f",{'x' * 200_000},")
    (hub.folder / "ratings.csv").write_text(poison, encoding="utf-8")
    fresh, _ = answered(tmp_path / "fresh.sqlite")
    assert Sync(fresh, REPO, api=hub).once()
    assert "passed over" in caplog.text
    assert restore(RatingStore(tmp_path / "third.sqlite"), REPO, api=hub) >= 2
