"""`python -m stav2a study DIR`: what is served, and what it says of answers that were given."""

from __future__ import annotations

import gradio as gr
import numpy as np
import pytest
import soundfile

from stav2a.__main__ import main
from stav2a.listening.collection import read_folder
from stav2a.listening.design import SCALE_KEYS, Design
from stav2a.listening.store import RatingStore, public_id


@pytest.fixture
def folder(tmp_path):
    """Two systems and the original; one clip is missing in one of them."""
    rng = np.random.default_rng(0)
    for system in ("ours", "theirs", "original"):
        (tmp_path / "material" / system).mkdir(parents=True)
        for clip in ("dog", "drum", "rain")[: 3 if system == "ours" else 2]:
            soundfile.write(tmp_path / "material" / system / f"{clip}.wav", 0.1 * rng.normal(size=16_000), 16_000)
    return tmp_path / "material"


@pytest.fixture
def launched(monkeypatch):
    """Options of every launch instead of a server that would run on."""
    seen = []
    monkeypatch.setattr(gr.Blocks, "launch", lambda demo, **options: seen.append(options))
    monkeypatch.setattr(gr.Blocks, "block_thread", lambda demo: None)
    return seen


def listener(store: RatingStore, folder, ours: int, theirs: int) -> str:
    rater = store.new_rater()
    session = store.start_session(rater, folder.name, read_folder(folder).plan(Design()))
    given = {"ours": ours, "theirs": theirs, "original": 95}
    while trial := store.next_trial(session):
        store.rate(session, trial.id, {e.id: dict.fromkeys(SCALE_KEYS, given[e.system]) for e in trial.presented})
    return rater


def test_a_folder_is_served_to_this_machine_only(folder, launched, capsys):
    assert main(["study", str(folder), "--anchor", "low_pass", "--repeats", "0.5", "--port", "7999"]) == 0
    (options,) = launched
    assert options["server_name"] == "127.0.0.1" and options["server_port"] == 7999 and not options["share"]
    assert (folder / "ratings.sqlite").is_file()
    assert "left out, since a system lacks it: rain" in capsys.readouterr().err


def test_results_export_import_and_deletion(folder, launched, tmp_path, capsys):
    store = RatingStore(folder / "ratings.sqlite")
    raters = [listener(store, folder, 60 + n, 40 + n) for n in range(5)]
    assert main(["study", str(folder), "--results"]) == 0
    table = capsys.readouterr().out
    assert "Mean ± 95 % confidence interval" in table and "Paired tests" in table
    assert "62.000" in table and "42.000" in table, "the means of both systems"
    csv = tmp_path / "answers.csv"
    assert main(["study", str(folder), "--export", str(csv)]) == 0
    assert main(["study", str(folder), "--ratings", str(tmp_path / "b.sqlite"), "--import", str(csv)]) == 0
    assert "10 new trials" in capsys.readouterr().out
    assert main(["study", str(folder), "--delete-rater", public_id(raters[0])]) == 0
    assert store.ratings().rater.nunique() == 4 and RatingStore(tmp_path / "b.sqlite").ratings().rater.nunique() == 5
    assert launched == [], "nothing is served for these"


@pytest.mark.parametrize(
    ("systems", "options", "says"),
    [
        (None, [], "no folder"),
        (["ours"], ["--test", "abx"], "at least two systems"),
        ([f"system {n}" for n in range(14)], [], "at most 12"),
    ],
    ids=["missing", "one system", "too many"],
)
def test_what_cannot_be_rated_is_refused_in_a_sentence(tmp_path, launched, capsys, systems, options, says):
    folder = tmp_path / "material"
    for system in systems or ():
        (folder / system).mkdir(parents=True)
        soundfile.write(folder / system / "dog.wav", np.full(8000, 0.1), 16_000)
    assert main(["study", str(folder), *options]) == 2
    told = capsys.readouterr().err.strip()
    assert says in told and "\n" not in told and launched == []
