"""What Compare offers and plays: takes of runs, fresh variants, and what is kept of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from page_server import make_clip
from variants_made import BASE, finish

from stav2a.generation.variants import PARTS, Variant, along
from stav2a.media.limits import InputError
from stav2a.ui import work
from stav2a.ui.compare import entries
from stav2a.ui.compare import tab as compare
from stav2a.ui.history import History, Run
from stav2a.ui.page import LIMITS

# ---- what is kept


def test_variants_are_kept_and_found_again(made, engine, clip):
    history, visit, first = made
    assert [entry.name for entry in first] == ["guidance 1", "guidance 3", "guidance 6"]
    assert all(Path(entry.files["listen"]).exists() and Path(entry.files["mel"]).exists() for entry in first)
    assert {entry.clip for entry in first} == {first[0].clip} and first[0].original
    again = finish(engine, History(history.root), visit, clip, along("guidance_scale", BASE, [1, 3, 6]))
    assert [entry.id for entry in again.values()] == [entry.id for entry in first], "nothing was made anew"
    assert list(entries.every(history, visit)) == [entry.id for entry in first]
    assert entries.every(history, history.visit(None)) == {}, "another visitor sees them"


def test_a_setting_more_is_another_sound(made):
    first = made[2]
    asked = [Variant("other seed", replace(BASE, seed=8)), Variant("longer", replace(BASE, steps=3))]
    hashes = {entries.variant_hash(variant) for variant in asked}
    assert not hashes & {entry.id.split("/")[1] for entry in first}
    with_parts = {entries.variant_hash(Variant("x", BASE, use)) for use in PARTS.values()}
    assert len(with_parts) == 4


def test_only_so_many_variants_and_clips_stay(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(entries, "MOST_VARIANTS", 2)
    monkeypatch.setattr(entries, "MOST_CLIPS", 2)
    history = History(tmp_path / "runs")
    visit = history.visit(None)
    clips = [make_clip(tmp_path / f"{k}.mp4", seconds=0.5 + 0.2 * k) for k in range(3)]
    for each in clips:
        left = finish(engine, history, visit, each, along("seed", BASE, [1, 2, 3]))
        assert [entry.name for entry in left.values()] == ["seed 2", "seed 3"]
    folders = list(history.folder(visit).glob("*-clip-*"))
    assert len(folders) == 2
    assert all(len(list(folder.glob("*.wav"))) == 2 * 2 + 1 for folder in folders), "files of old variants stay"


def test_an_unusable_clip_leaves_nothing(engine, tmp_path):
    history = History(tmp_path / "runs")
    visit = history.visit(None)
    bad = tmp_path / "text.mp4"
    bad.write_text("no video")
    with pytest.raises(InputError):
        finish(engine, history, visit, bad, along("seed", BASE, [1, 2]))
    assert not [path for path in history.root.rglob("*") if path.is_file()]


# ---- the player's value


def test_results_of_a_visit_are_compared_with_the_original(made):
    _, _, first = made
    value = compare.listen(first[:2])
    assert [sound["name"] for sound in value["sounds"]] == ["guidance 1", "guidance 3", "Original"]
    assert value["reference"] == 2 and value["video"]
    assert all(sound["mel"] and "onsets_s" in sound for sound in value["sounds"])
    levels = []
    from stav2a.media.audio import loudness_lufs

    for sound in value["sounds"]:
        waveform, rate = soundfile.read(sound["file"]["path"])
        levels.append(loudness_lufs(waveform, rate))
    assert np.ptp(levels) < 0.2, f"levels differ: {levels}"


def test_runs_are_offered_take_by_take(engine, clip, tmp_path):
    history = History(tmp_path)
    visit = history.visit(None)
    settings = replace(BASE, takes=2, original_audio="reference", prompt="<img src=x onerror=alert(1)>").validated()
    run = list(work.generation(engine, history, visit, clip, settings, LIMITS)(lambda: False))[-1]
    assert isinstance(run, Run) and Path(run.original).exists()
    found = list(entries.every(history, visit).values())
    assert [entry.id for entry in found] == [f"{run.id}/take-1", f"{run.id}/take-2"]
    value = compare.listen(entries.pick(entries.every(history, visit), [entry.id for entry in found]))
    assert value["sounds"][0]["note"].startswith("<img"), "text stays text: the page never makes HTML of it"
    fresh = finish(engine, history, visit, clip, along("seed", BASE, [1, 2]))
    together = [found[0].id, next(iter(fresh.values())).id]
    assert len(entries.pick(entries.every(history, visit), together)) == 2, "a run and a fresh variant of one clip"


def test_only_two_to_six_of_one_clip(made):
    history, visit, first = made
    known = entries.every(history, visit)
    ids = [entry.id for entry in first]
    stranger = replace(first[0], id="x/y", clip="another")
    for wrong, says in (
        (ids[:1], "between 2 and 6"),
        ([*ids, *ids, ids[0]], "between 2 and 6"),
        ([ids[0], "gone/gone"], "no longer"),
        ([ids[0], "../../etc/passwd"], "no longer"),
        ([ids[0], "x/y"], "different clips"),
    ):
        with pytest.raises(InputError, match=says):
            entries.pick({**known, "x/y": stranger}, wrong)
