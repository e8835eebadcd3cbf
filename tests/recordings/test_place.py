"""Recordings placed in time: hits on their onsets, loops without seams, silence elsewhere."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from knocks import RATE, knock

from stav2a.metrics.alignment import onset_f1
from stav2a.recordings.attacks import attacks
from stav2a.recordings.compose import (
    BEHIND_DB,
    PEAK,
    Score,
    envelope,
    most_likely_onset,
    motion_of,
    soundtrack,
    strengths_of,
)
from stav2a.recordings.place import CHOKE_S, Hit, alternating, looped, place_hits
from stav2a.recordings.voice import Voice, at_level, cut_hits, rms
from stav2a.sound.onsets import HEARD_AFTER_S, detect_onsets


def voice(cls: str = "wood_hit") -> Voice:
    if cls != "wood_hit":
        return Voice(cls, cls, texture=np.random.default_rng(3).normal(0, 0.08, 2 * RATE).astype(np.float32))
    waves = [at_level(knock(seed), RATE) for seed in range(3)]
    return Voice("wood is hit", cls, tuple(Hit(wave, 0) for wave in waves), whole=tuple(waves))


@pytest.mark.parametrize("onsets", [[0.4, 0.9, 1.6, 2.05, 2.8], [0.25, 3.5], [1.0]])
def test_hits_are_heard_exactly_at_the_onsets_and_move_with_them(onsets):
    for shift in (0.0, 0.3):
        wanted = [time + shift for time in onsets]
        mix = place_hits(voice().hits, wanted, [1.0] * len(wanted), 4 * RATE, RATE, np.random.default_rng(0))
        assert onset_f1(wanted, detect_onsets(mix, RATE)) == 1.0


def test_the_attack_lies_before_the_heard_onset_to_the_sample():
    mix = place_hits([Hit(np.ones(10, np.float32), 0)], [1.0], [1.0], 2 * RATE, RATE, np.random.default_rng(0))
    assert np.flatnonzero(mix)[0] == round((1.0 - HEARD_AFTER_S) * RATE)


def test_a_ringing_hit_is_cut_by_the_next_one():
    bell = Hit(at_level(knock(ring_s=2.0, length_s=3.0), RATE), 0)
    alone, cut = (
        place_hits([bell], onsets, [1.0] * len(onsets), 4 * RATE, RATE, np.random.default_rng(0))
        for onsets in ([0.5], [0.5, 1.5])
    )
    silent_hit = place_hits([bell], [0.5, 1.5], [1.0, 1.0], 4 * RATE, RATE, np.random.default_rng(0))
    before, after = round(1.4 * RATE), round((1.5 - HEARD_AFTER_S + CHOKE_S) * RATE)
    np.testing.assert_array_equal(alone[:before], cut[:before])  # rings on until then
    second = place_hits([bell], [1.5], [1.0], 4 * RATE, RATE, np.random.default_rng(0))
    assert rms(silent_hit[after : after + 800]) < 1.3 * rms(second[after : after + 800])  # one bell, not two


def test_strength_is_level():
    loud, soft = (place_hits([Hit(knock(), 0)], [0.5], [s], RATE, RATE, np.random.default_rng(0)) for s in (1.0, 0.5))
    assert 20 * np.log10(rms(loud) / rms(soft)) == pytest.approx(6.0, abs=1e-3)


def test_variants_alternate():
    order = alternating(3, 30, np.random.default_rng(0))
    assert all(a != b for a, b in itertools.pairwise(order))
    assert {order.count(k) for k in range(3)} == {10}
    assert alternating(1, 3, np.random.default_rng(0)) == [0, 0, 0]


def test_a_loop_has_no_seam_and_keeps_its_level():
    times = np.arange(2 * RATE) / RATE
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    loop = looped(noise, 10 * RATE, RATE, np.random.default_rng(1))
    levels = [rms(part) for part in np.split(loop, 40)]
    assert 20 * np.log10(max(levels) / min(levels)) < 1.0
    tone = (0.1 * np.sin(2 * np.pi * 50 * times)).astype(np.float32)  # slow: a seam would be a jump
    loop = looped(tone, 10 * RATE, RATE, np.random.default_rng(1))
    assert np.abs(np.diff(loop)).max() < 2 * np.abs(np.diff(tone)).max()
    assert len(looped(np.zeros(1, np.float32), 5, RATE, np.random.default_rng(0))) == 5


def test_attacks_of_a_recording_are_found():
    wave = np.zeros(3 * RATE, np.float32)
    for at in (0.2, 1.0, 1.9):
        wave[round(at * RATE) :][: RATE // 2] += knock()
    assert attacks(wave, RATE) == pytest.approx((0.2, 1.0, 1.9), abs=0.015)
    assert attacks(np.zeros(RATE, np.float32), RATE) == ()


def test_a_recording_with_several_attacks_gives_one_hit_each():
    wave = np.zeros(2 * RATE, np.float32)
    for at, gain in ((0.2, 1.0), (1.0, 0.3)):
        wave[round(at * RATE) :][: RATE // 2] += gain * knock()
    first, second = cut_hits(wave, [0.2, 1.0], RATE)
    assert first.attack == second.attack == round(0.03 * RATE)
    assert rms(first.waveform[:4000]) == pytest.approx(rms(second.waveform[:4000]), rel=0.02)


def test_what_swells_on_is_one_hit():
    times = np.arange(2 * RATE) / RATE
    howl = (np.sin(2 * np.pi * 500 * times) * (0.6 + 0.3 * np.sin(2 * np.pi * 2 * times))).astype(np.float32)
    assert len(cut_hits(howl, [0.0, 0.6, 1.1], RATE)) == 1
    howl[round(0.9 * RATE) : RATE] = 0
    assert len(cut_hits(howl, [0.0, 0.6, 1.0], RATE)) == 2


def score(onsets=(), motion=None, duration_s: float = 4.0) -> Score:
    return Score(duration_s, list(onsets), [1.0] * len(onsets), motion, 25.0)


MOVING = np.where(np.arange(100) < 50, 8.0, 0.0)


def test_silence_where_nothing_happens():
    assert not soundtrack([voice()], score(motion=MOVING), RATE, 0).any()
    assert not soundtrack([], score([1.0], MOVING), RATE, 0).any()
    engine = soundtrack([voice("power_tool")], score(motion=MOVING), RATE, 0)
    assert rms(engine[: RATE + RATE // 2]) > 0.05 and rms(engine[3 * RATE :]) == 0
    rain = soundtrack([voice("rain")], score(motion=MOVING), RATE, 0)
    assert rms(rain[3 * RATE :]) > 0.05
    still = soundtrack([voice("power_tool")], score(motion=np.zeros(100)), RATE, 0)
    assert rms(still) > 0.05


def test_a_texture_stands_behind_hits():
    alone = soundtrack([voice("rain")], score(motion=MOVING), RATE, 0)
    both = soundtrack([voice("rain"), voice()], score([3.5], MOVING), RATE, 0)
    assert 20 * np.log10(rms(both[:RATE]) / rms(alone[:RATE])) == pytest.approx(BEHIND_DB, abs=0.5)
    assert np.abs(detect_onsets(both, RATE) - 3.5).min() < 0.03


def test_calls_of_ambience_go_on_behind_what_is_seen():
    """Birds are not heard at footsteps, and do not take the half of them; by hand they are."""
    times = [0.5, 1.0, 1.5, 2.0]
    birds = replace(voice(), name="birds sing", cls="bird_chirp")
    alone = soundtrack([birds], score([0.5], MOVING), RATE, 0)
    assert len(detect_onsets(alone[RATE:], RATE)) >= 2
    both = soundtrack([voice(), birds], score(times, MOVING), RATE, 0)
    steps = soundtrack([voice()], score(times, MOVING), RATE, 0)
    calls = soundtrack([birds], score(times, MOVING), RATE, 0)
    assert rms(both - steps) == pytest.approx(rms(calls) * 10 ** (BEHIND_DB / 20), rel=0.3)
    once = soundtrack([replace(birds, count=1)], score([2.5], MOVING), RATE, 0)
    assert [round(t, 1) for t in detect_onsets(once, RATE)] == [2.5]
    long = soundtrack([birds], score([0.5], np.full(3000, 8.0), duration_s=120.0), RATE, 0)
    assert rms(long[-10 * RATE :]) > 0.5 * rms(long[: 10 * RATE])
    placed = soundtrack([birds], replace(score([0.5], MOVING), by_hand=True), RATE, 0)
    assert len(detect_onsets(placed, RATE)) == 1 and abs(detect_onsets(placed, RATE)[0] - 0.5) < 0.03


def test_the_same_thing_may_be_named_twice():
    twice = soundtrack([voice(), voice()], score([0.5, 1.5], MOVING), RATE, 0)
    assert len(detect_onsets(twice, RATE)) == 2


@pytest.mark.parametrize("motion", [None, np.zeros(150)])
def test_without_a_moving_picture_recordings_follow_one_another(motion):
    sound = soundtrack([voice()], score(motion=motion, duration_s=6.0), RATE, 0)
    assert len(sound) == 6 * RATE and len(detect_onsets(sound, RATE)) >= 4


@pytest.mark.parametrize("count", [1, 2, 3])
def test_without_a_picture_as_many_are_heard_as_the_caption_says(count):
    sound = soundtrack([replace(voice(), count=count)], score(motion=None, duration_s=6.0), RATE, 0)
    assert len(detect_onsets(sound, RATE)) == count


def test_what_is_asked_for_is_heard_once_where_no_onset_was_picked():
    curve = np.zeros(100, np.float32)
    curve[40] = 0.2
    assert most_likely_onset(curve, 0.04) == [1.6]
    assert most_likely_onset(np.zeros(100), 0.04) == []


def test_same_seed_same_sound_other_seed_other_sound():
    made = [soundtrack([voice()], score([0.5, 1.0, 2.0], MOVING), RATE, seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])
    assert all(np.abs(sound).max() <= PEAK + 1e-6 for sound in made)


def test_strengths_come_from_the_motion_and_added_onsets_are_of_middle_strength():
    motion = np.zeros(100)
    motion[[10, 50]] = 20.0, 10.0
    assert strengths_of([0.43, 2.03, 3.6], motion, 25.0) == pytest.approx([1.0, 0.75, 0.875])
    assert strengths_of([1.0], np.zeros(100), 25.0) == [1.0]
    assert strengths_of([1.0], None, 25.0) == [1.0]
    assert strengths_of([], motion, 25.0) == []


def test_motion_and_its_envelope():
    frames = np.zeros((50, 8, 8, 3), np.uint8)
    frames[25:] = np.random.default_rng(0).integers(0, 255, (25, 8, 8, 3))
    motion = motion_of(frames)
    assert motion.shape == (50,) and not motion[:25].any() and motion[30:].min() > 10
    level = envelope(score(motion=motion), voice("chainsaw"))
    assert level[:15].max() == 0 and level[35:].min() == 1
    assert len(motion_of(frames[:1])) == 1
