"""A model on FoleyWorld's test clips, whose true event times and classes are known exactly.

Clips are made of recordings, pictures and (where asked) wordings that no training has seen. Their real sound, and the
same through the vocoder alone and through VAE and vocoder, tell what of timing and class is lost where. Events are
timed by their visible contact; onsets are compared as heard, `HEARD_AFTER_S` later (`stav2a/sound/onsets.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stav2a.condition.onset import pick_onsets
from stav2a.data.foleyworld.world import FoleyWorld
from stav2a.evaluation.models.reconstruction import coded_and_decoded, vocoded
from stav2a.media.audio import loudness_lufs
from stav2a.metrics import bank_classifier
from stav2a.metrics.buzz import frame_buzz_db
from stav2a.metrics.dynamics import attack_times_s, levels_db, noise_floor_db
from stav2a.sound.onsets import HEARD_AFTER_S, detect_onsets

MOVE_S = 0.5
SILENT = "silence"
SOUNDS = ("generated", "real sound", "real sound through mel and vocoder", "real sound through VAE and vocoder")


def by_sound() -> dict[str, list]:
    return {name: [] for name in SOUNDS}


@dataclass
class FoleyTest:
    """What was found on each clip, of each of `SOUNDS` where it has a dict; `foley_figures.summary` makes the table."""

    predicted: list[tuple] = field(default_factory=list)
    heard: dict[str, list[tuple]] = field(default_factory=by_sound)
    moved: list[tuple] = field(default_factory=list)
    halved: list[tuple] = field(default_factory=list)
    ranks: dict[str, list[int]] = field(default_factory=by_sound)
    ranks_reworded: list[int] = field(default_factory=list)
    precision: list[tuple[float, bool]] = field(default_factory=list)
    events: int = 0
    asked_silent_db: list[float] = field(default_factory=list)
    buzz_db: dict[str, list[float]] = field(default_factory=by_sound)
    floors_db: dict[str, list[float]] = field(default_factory=by_sound)
    attacks_s: dict[str, list[float]] = field(default_factory=by_sound)
    levels_lu: list[float] = field(default_factory=list)


def run(
    pipe,
    bank: str | Path,
    sprites: str | Path | None,
    count: int,
    *,
    seed: int = 0,
    duration_s: float = 5.12,
    settings: dict | None = None,
    edited: int = 50,
    write: Path | None = None,
) -> Iterator[FoleyTest]:
    """Generate for `count` test clips; yields the growing result after each.

    The first `edited` clips are generated three times more: all onsets moved by half a second, half of them
    removed, and the caption in words kept apart from training. `write`: folder for the first ten pairs.
    """
    import soundfile

    timeline = pipe.timeline
    options = {"duration_s": duration_s, "fps": timeline.fps, "size": timeline.frame_size, "seed": seed}
    world = FoleyWorld(bank, sprites, "test", **options)
    reworded = FoleyWorld(bank, sprites, "test", **options, held_out_captions=True)
    classifier = bank_classifier.BankClassifier.load()
    result = FoleyTest()
    settings = settings or {}
    for index in range(count):
        clip = world[index]
        video = pipe.encode_video(clip.frames)
        true_s = [time + HEARD_AFTER_S for time in clip.onsets_s]
        result.predicted.append((true_s, video.onset.onsets_s, duration_s))
        result.events += len(true_s)
        result.precision += judged_peaks(true_s, video.onset.curve, timeline.latent_frame_s)
        made = pipe(video, clip.caption, seed=index, **settings)
        wave, rate = made.waveforms[0], made.sample_rate
        asked = clip.cls
        sounds = [wave, clip.waveform]
        if pipe.vae is not None:
            sounds += [vocoded(pipe, clip.waveform), coded_and_decoded(pipe, clip.waveform)]
        for name, sound in zip(SOUNDS, sounds, strict=False):
            heard_s = detect_onsets(sound, rate)
            result.heard[name].append((true_s, heard_s, duration_s))
            followed = [t for t in heard_s if np.abs(np.subtract(true_s, t)).min(initial=np.inf) <= 0.05]
            result.attacks_s[name] += list(attack_times_s(sound, rate, followed))
            floor = noise_floor_db(sound, clip.waveform, rate)
            if floor is not None:
                result.floors_db[name].append(floor)
            buzz = frame_buzz_db(sound, rate, timeline.hop_length)
            if buzz is not None:
                result.buzz_db[name].append(buzz)
            if asked in classifier.classes:
                result.ranks[name].append(rank(classifier, sound, asked))
        level = loudness_lufs(wave, rate) - loudness_lufs(clip.waveform, rate)
        if np.isfinite(level):  # neither of them is silent
            result.levels_lu.append(level)
        if asked == SILENT:
            result.asked_silent_db.append(float(levels_db(wave[None])[0]))
        if write is not None and index < 10:
            write.mkdir(parents=True, exist_ok=True)
            soundfile.write(write / f"{index:02d}_real.wav", clip.waveform, rate)
            soundfile.write(write / f"{index:02d}_generated.wav", wave, rate)
            (write / f"{index:02d}.txt").write_text(clip.caption + "\n", encoding="utf-8")
        if index < edited and video.onset.onsets_s:
            wanted = [t + MOVE_S for t in video.onset.onsets_s if t + MOVE_S < duration_s]
            wave = pipe(video, clip.caption, seed=index, onsets_s=wanted, **settings).waveforms[0]
            result.moved.append((wanted, detect_onsets(wave, rate), duration_s))
            kept = video.onset.onsets_s[::2]
            wave = pipe(video, clip.caption, seed=index, onsets_s=kept, **settings).waveforms[0]
            result.halved.append((kept, detect_onsets(wave, rate), duration_s))
        if index < edited and asked in classifier.classes:
            words = reworded.sound(index).caption
            wave = pipe(video, words, seed=index, **settings).waveforms[0]
            result.ranks_reworded.append(rank(classifier, wave, asked))
        yield result


def rank(classifier, waveform: np.ndarray, asked: str) -> int:
    probabilities = bank_classifier.describe(classifier, waveform).probabilities
    return bank_classifier.rank_of(probabilities, classifier.classes, asked)


def judged_peaks(true_s: list[float], curve: np.ndarray, latent_frame_s: float) -> list[tuple[float, bool]]:
    """(height, whether it is an event within 50 ms) of every peak of the curve; higher peaks choose first."""
    times = pick_onsets(curve, latent_frame_s, threshold=0.02)
    heights = [float(curve[max(int(t / latent_frame_s) - 1, 0) : int(t / latent_frame_s) + 2].max()) for t in times]
    free, judged = list(true_s), []
    for height, time in sorted(zip(heights, times, strict=True), reverse=True):
        near = min(free, key=lambda t: abs(t - time), default=None)
        hit = near is not None and abs(near - time) <= 0.05
        if hit:
            free.remove(near)
        judged.append((height, hit))
    return judged
