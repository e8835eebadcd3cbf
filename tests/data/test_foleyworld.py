"""FoleyWorld without a bank or pictures (modal synthesis, drawn shapes), and with them where they are at hand."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stav2a.commands import data as cli
from stav2a.condition.phrases import PHRASES
from stav2a.data.foleyworld import FoleyWorld
from stav2a.data.foleyworld.cache import CachedWorld, write_cache
from stav2a.data.foleyworld.picture.art import sprite_split
from stav2a.data.foleyworld.plan import Event, Score, onset_times, rhythm
from stav2a.data.foleyworld.scenes.table import SCENES, SILENT
from stav2a.data.foleyworld.sound.mix import level, render
from stav2a.data.foleyworld.sound.sources import RELATED, ModalSource
from stav2a.data.foleyworld.words import captions
from stav2a.data.foleyworld.words.captions import HELD_OUT_SENTENCES, SENTENCES
from stav2a.data.foleyworld.words.wordings import WORDINGS
from stav2a.data.soundbank import SoundBank, is_open

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
needs_bank = pytest.mark.skipif(not (SHARED / "soundbank" / "manifest.csv").exists(), reason="no sound bank here")


def small(**options) -> FoleyWorld:
    return FoleyWorld(**{"duration_s": 2.0, "size": 48, **options})


@pytest.fixture(scope="module")
def world() -> FoleyWorld:
    return small()


def test_same_clip_in_any_order_and_process(world):
    first = world[3]
    other = small()
    assert other[7].frames.shape == (50, 48, 48, 3)
    again = other[3]
    np.testing.assert_array_equal(first.frames, again.frames)
    np.testing.assert_array_equal(first.waveform, again.waveform)
    assert (first.caption, first.events) == (again.caption, again.events)
    code = (
        "from stav2a.data.foleyworld import FoleyWorld; import zlib;"
        "s = FoleyWorld(duration_s=2.0, size=48)[3];"
        "print(zlib.crc32(s.frames.tobytes()), zlib.crc32(s.waveform.tobytes()), s.caption)"
    )
    run = [sys.executable, "-c", code]
    printed = {subprocess.run(run, capture_output=True, text=True, check=True).stdout for _ in range(2)}
    assert len(printed) == 1, printed


def test_sound_without_picture_is_the_sample_s_sound(world):
    heard = world.sound(5)
    sample = world[5]
    np.testing.assert_array_equal(heard.waveform, sample.waveform)
    assert heard.onsets_s == sample.onsets_s


def test_variants_share_the_events_and_differ_in_sound(world):
    i = next(i for i in range(50) if world.plan(i).score.events)
    first, second = world.sound(i, 0), world.sound(i, 1)
    assert first.onsets_s == second.onsets_s
    assert not np.array_equal(first.waveform, second.waveform)


def test_splits_and_seeds_are_other_clips(world):
    clips = [world[0].frames, small(split="test")[0].frames, small(seed=1)[0].frames]
    assert not np.array_equal(clips[0], clips[1])
    assert not np.array_equal(clips[0], clips[2])


@pytest.mark.parametrize("name", [*SCENES, *SILENT])
def test_every_scene_draws_and_sounds(name):
    world = small(scenes=(name,), duration_s=2.0)
    for i in range(3):
        sample = world[i]
        assert sample.frames.dtype == np.uint8
        assert sample.waveform.dtype == np.float32
        assert sample.waveform.shape == (32000,)
        assert np.abs(sample.waveform).max() <= 0.9 + 1e-6
        assert np.isfinite(sample.waveform).all()
        assert sample.onsets_s == sorted(sample.onsets_s)
        assert all(0 <= t < 2.0 for t in sample.onsets_s)
        assert sample.caption
        assert sample.frames.std() > 1
    assert any(world[i].frames.astype(int)[10:].std(0).mean() > 0.2 for i in range(3)), "nothing moves"


def still(world: FoleyWorld, i: int) -> np.ndarray:
    """Frame differences [T] of a clip drawn on a plain ground by a tripod camera, without film effects."""
    from stav2a.data.foleyworld.picture.brush import Brush

    plan = world.plan(i)
    rng = np.random.default_rng(0)
    scene = plan.actors[0].scene
    scene.prepare(rng, world.art)
    frames = []
    for k in range(round(world.duration_s * 50)):
        canvas = np.full((64, 64, 3), 90, np.uint8)
        scene.draw(Brush(canvas), k / 50)
        frames.append(canvas.astype(np.float32) + scene.light(k / 50))
    change = np.abs(np.diff(np.asarray(frames), axis=0)).mean((1, 2, 3))
    return np.concatenate([[0.0], change])


@pytest.mark.parametrize("name", ["strike", "gun", "fireworks", "meeting", "bodies"])
def test_picture_changes_most_near_the_events(name):
    """More motion within 80 ms of contacts than elsewhere, averaged over clips."""
    world = small(scenes=(name,), duration_s=4.0)
    near, far = [], []
    for i in range(8):
        score = world.plan(i).score
        times = [e.time_s for e in score.audible]
        if not times or len(world.plan(i).cuts_s):
            continue
        change = still(world, i)
        t = np.arange(len(change)) / 50
        distance = np.abs(t[:, None] - np.asarray(times)[None]).min(1)
        if (distance < 0.08).any() and (distance > 0.15).any() and change.max() > 0:
            near.append(change[distance < 0.08].mean() / change.mean())
            far.append(change[distance > 0.15].mean() / change.mean())
    assert len(near) >= 4
    assert np.mean(near) > 1.15 * np.mean(far)


def test_a_strike_stops_at_its_time():
    """The tool is at the target at the event and nowhere near it 60 ms earlier (fakes and rests aside)."""
    world = small(scenes=("strike",), duration_s=4.0)
    low, high = [], []
    for i in range(10):
        for actor in world.plan(i).actors:
            scene = actor.scene
            for arm, swing in enumerate(scene.swings):
                del arm
                floor = np.array([float(swing(t)) for t in np.arange(0, 4, 0.005)])
                for event in scene.score.events:
                    k = int(event.time_s / 0.005)
                    if floor[k : k + 2].min() < 0.02:
                        low.append(floor[k : k + 2].min())
                        high.append(floor[max(k - 12, 0) : k].max())
    assert len(low) > 20
    assert np.median(high) > 0.1


def attack(waveform: np.ndarray, time_s: float) -> float:
    """Seconds from an event to the moment its level has risen to a fifth of the peak of the next 170 ms."""
    start = round((time_s - 0.03) * 16000)
    window = np.abs(waveform[max(start, 0) : start + 3200])
    smooth = np.convolve(window, np.ones(16) / 16, "same")
    return int(np.argmax(smooth > 0.2 * smooth.max())) / 16000 - (time_s - max(start, 0) / 16000)


def test_sound_starts_at_its_event_modal():
    source = ModalSource()
    for cls in ("metal_hit", "wood_hit", "dog_bark", "gunshot", "hand_drum", "keyboard_typing"):
        score = Score(2.0, [Event(1.0, cls)]).finish()
        heard = render(score, source, np.random.default_rng(4))
        assert abs(attack(heard.waveform, 1.0)) <= 0.03, cls


@needs_bank
def test_sound_starts_at_its_event_bank():
    from stav2a.data.foleyworld.sound.sources import BankSource

    source = BankSource(SoundBank(SHARED / "soundbank"))
    late = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        cls = ("hammering", "wood_hit", "metal_hit", "gunshot", "dog_bark", "hand_drum")[seed % 6]
        heard = render(Score(3.0, [Event(1.0, cls)]).finish(), source, rng)
        late.append(attack(heard.waveform, 1.0))
    assert np.mean(np.abs(late) <= 0.03) >= 0.9, np.round(late, 3)


def test_silence_is_silent():
    found = 0
    for i in range(40):
        heard = render(Score(1.0), ModalSource(), np.random.default_rng(i))
        loud = 20 * np.log10(np.sqrt(np.mean(heard.waveform**2)) + 1e-12)
        assert loud < -40
        found += not heard.waveform.any()
        assert heard.cls == "silence"
        assert heard.onsets_s == []
    assert found >= 15, "true silence is rare"
    assert not level(np.zeros(10, np.float32), np.random.default_rng(0)).any()


def test_inaudible_events_make_no_sound():
    score = Score(1.0, [Event(0.5, "metal_hit", audible=False)]).finish()
    seed = next(s for s in range(50) if not render(Score(1.0), ModalSource(), np.random.default_rng(s)).waveform.any())
    heard = render(score, ModalSource(), np.random.default_rng(seed))
    assert heard.onsets_s == []
    assert not heard.waveform.any()


def test_things_that_meet_are_one_onset():
    """Both are heard, with their own recordings, at one onset; what comes 40 ms later is another."""
    score = Score(2.0, [Event(1.04, "thud", voice=2), Event(1.0, "wood_hit"), Event(1.02, "metal_hit", voice=1)])
    assert len(score.finish().audible) == 3
    assert score.onsets_s == [1.0, 1.04]
    heard = render(score, ModalSource(), np.random.default_rng(0))
    assert heard.onsets_s == score.onsets_s
    assert onset_times([0.5, 0.1]) == [0.1, 0.5]
    assert onset_times([]) == []


def test_rates_and_silences(world):
    """A majority of clips has events; their rates are spread; some clips are silent."""
    long = small(duration_s=8.0)
    plans = [long.plan(i).score for i in range(120)]
    counts = np.array([len(p.onsets_s) for p in plans])
    assert 0.5 <= np.mean(counts > 0) <= 0.85
    assert np.mean([p.cls == "silence" for p in plans]) < 0.15
    rates = counts[counts > 0] / 8.0
    assert np.percentile(rates, 10) < 0.5
    assert np.percentile(rates, 90) > 2.0


def test_rhythm_keeps_its_distance():
    for seed in range(30):
        times = rhythm(np.random.default_rng(seed), 5.0, (0.5, 8.0), 0.1)
        assert (np.diff(times) >= 0.1 - 1e-9).all()
        assert times.size == 0 or (times[0] >= 0 and times[-1] < 5.0)


def test_captions_held_out_for_tests():
    assert not set(SENTENCES) & set(HELD_OUT_SENTENCES)
    for cls, phrases in PHRASES.items():
        assert len(phrases) >= 3, cls
        assert all(p.count("|") == 2 for p in phrases), cls
        assert phrases[-1] not in phrases[:-1], cls
    normal = {small().sound(i).caption.lower() for i in range(20)}
    held = {small(held_out_captions=True).sound(i).caption.lower() for i in range(20)}
    assert len(normal) > 8
    assert not (normal & held)


def test_wordings_are_for_training_alone(monkeypatch):
    assert set(WORDINGS) == set(PHRASES)
    for cls, wordings in WORDINGS.items():
        assert len(wordings) == len(set(wordings)) >= 5, cls
        subject, verb, ing = PHRASES[cls][-1].split("|")
        told = " / ".join(wordings).lower()
        assert f"{subject} {verb}" not in told and f"{subject} {ing}" not in told, cls
    monkeypatch.setattr(captions, "LOOSE", 1.0)
    always = {split: [small(split=split).sound(i).caption for i in range(20)] for split in ("train", "val", "test")}
    monkeypatch.setattr(captions, "LOOSE", 0.0)
    never = {split: [small(split=split).sound(i).caption for i in range(20)] for split in always}
    assert sum(a != b for a, b in zip(always["train"], never["train"], strict=True)) > 12
    assert always["val"] == never["val"]
    assert always["test"] == never["test"]


def test_wordings_leave_the_sound_as_it_is():
    score = Score(2.0, [Event(0.5, "dog_bark"), Event(1.2, "dog_bark")]).finish()
    takes = [
        render(score, ModalSource(), np.random.default_rng(3), loose=loose)
        for loose in (None, *(np.random.default_rng(k) for k in range(12)))
    ]
    assert all(np.array_equal(take.waveform, takes[0].waveform) for take in takes)
    assert len({take.caption for take in takes}) > 2


@needs_bank
def test_bank_splits_and_licences():
    banks = {split: SoundBank(SHARED / "soundbank", split) for split in ("train", "val", "test")}
    groups = {split: {e.group for e in bank.entries} for split, bank in banks.items()}
    assert not groups["train"] & groups["test"]
    assert not groups["train"] & groups["val"]
    assert all(is_open(e.licence) for e in banks["train"].entries)
    assert not all(is_open(e.licence) for e in SoundBank(SHARED / "soundbank", licences="all").entries)
    entry = banks["train"].by_class("dog_bark")[0]
    waveform = banks["train"].load(entry)
    assert waveform.dtype == np.float32
    assert abs(len(waveform) / 16000 - entry.duration_s) < 0.01
    assert banks["train"].load(entry) is waveform
    with pytest.raises(ValueError, match="test split"):
        FoleyWorld(bank=banks["test"], split="train")


@needs_bank
def test_every_class_can_be_captioned():
    classes = set(SoundBank(SHARED / "soundbank", "all", "all").classes)
    assert classes == set(PHRASES)
    assert set(RELATED) <= classes


def test_missing_bank_is_a_plain_sentence(tmp_path):
    with pytest.raises(ValueError, match="no sound bank"):
        FoleyWorld(bank=tmp_path)


@pytest.mark.skipif(not (SHARED / "sprites" / "manifest.csv").exists(), reason="no pictures here")
def test_test_pictures_are_unseen():
    train, test = (small(sprites=SHARED / "sprites", split=s).art for s in ("train", "test"))
    assert not set(train.all) & set(test.all)
    assert len(test.all) > 15
    assert all(sprite_split(p.name) == "test" for p in test.all)


def test_cache_is_resumed_and_read_back(tmp_path, world):
    options = {"duration_s": 2.0, "size": 48}
    assert sum(write_cache(tmp_path, options, 5, per_shard=2)) == 5
    assert sum(write_cache(tmp_path, options, 7, per_shard=2)) == 3, "only the missing and the grown shard"
    cached = CachedWorld(tmp_path)
    assert len(cached) == 7
    direct = world[4]
    np.testing.assert_array_equal(cached[4].frames, direct.frames)
    np.testing.assert_allclose(cached[4].waveform, direct.waveform, atol=1e-4)
    assert cached[4].onsets_s == pytest.approx(direct.onsets_s, abs=1e-4)
    with pytest.raises(ValueError, match="another world"):
        list(write_cache(tmp_path, {**options, "seed": 9}, 5, per_shard=2))


def test_command_line_renders_clips(tmp_path, capsys):
    from stav2a.media.probe import probe

    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    out = tmp_path / "clips"
    args = parser.parse_args(["render", "--out", str(out), "--count", "2", "--duration", "1", "--size", "48"])
    assert cli.run(args) == 0
    assert "frames/s" in capsys.readouterr().out
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert len(lines) == 2
    info = probe(out / lines[0]["file"])
    assert info.has_audio
    assert abs(info.duration_s - 1.0) < 0.1
    bad = parser.parse_args(["render", "--out", str(out), "--count", "1", "--bank", str(tmp_path)])
    assert cli.run(bad) == 2
