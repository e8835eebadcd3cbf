"""Exports for audio software: markers at the onsets, single hits as files, sound as WAV or FLAC."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stav2a.generation.settings import EXPORTS, STEMS, TRACKS
from stav2a.media.limits import InputError
from stav2a.media.markers import KINDS, Marker, read_markers, write_markers
from stav2a.media.sound_files import write_sound
from stav2a.recordings.voice import CUT_S, PRE_S, faded
from stav2a.sound.onsets import HEARD_AFTER_S

TAIL_DB = 60.0  # what lies so far below a hit's peak at its end is left out


def export(
    folder: Path, stem: str, waveform: np.ndarray, sample_rate: int, onsets_s: Sequence[float], kinds: Sequence[str],
    fps: float = 25.0, audio_format: str = "wav", audio_rate: int | None = None,
) -> list[Path]:  # fmt: skip
    """Write the files of each kind of EXPORTS into `folder`, which must exist, named after `stem`.

    waveform: float32 [S]. Onsets are perceived times; markers are at the attacks, `HEARD_AFTER_S` earlier.
    """
    if unknown := sorted(set(kinds) - set(EXPORTS)):
        raise InputError(f"There is no export {unknown[0]!r}; there are {', '.join(EXPORTS)}.")
    markers = hit_markers(waveform, sample_rate, onsets_s)
    paths = []
    for kind in dict.fromkeys(kinds):
        if kind == TRACKS:  # written with the video
            continue
        if kind != STEMS:
            paths.append(write_markers(folder / f"{stem}_onsets{KINDS[kind].suffixes[0]}", markers, kind, fps))
            continue
        for k, (_, hit) in enumerate(stems(waveform, sample_rate, onsets_s), 1):
            path = folder / f"{stem}_hit_{k:03d}.{audio_format}"
            paths.append(write_sound(path, hit, sample_rate, audio_rate))
    return paths


def hit_markers(waveform: np.ndarray, sample_rate: int, onsets_s: Sequence[float]) -> list[Marker]:
    """A marker at each attack. Its strength is the peak of the hit relative to the loudest."""
    if not len(onsets_s):
        return []
    attacks = [max(0.0, float(time) - HEARD_AFTER_S) for time in onsets_s]
    ends = [*attacks[1:], len(waveform) / sample_rate]
    spans = [(round(a * sample_rate), round(b * sample_rate)) for a, b in zip(attacks, ends, strict=True)]
    peaks = [float(np.abs(waveform[a : max(b, a + 1)]).max(initial=0.0)) for a, b in spans]
    loudest = max(peaks) or 1.0
    return [
        Marker(attack, f"hit {k}", strength=max(peak / loudest, 0.01))
        for k, (attack, peak) in enumerate(zip(attacks, peaks, strict=True), 1)
    ]


def onsets_from_markers(path: str | Path, fps: float = 25.0) -> list[float]:
    """Onsets in seconds from a marker file of another program, whose markers are at attacks or visible contacts."""
    return [marker.time_s + HEARD_AFTER_S for marker in read_markers(path, fps=fps)]


def stems(waveform: np.ndarray, sample_rate: int, onsets_s: Sequence[float]) -> list[tuple[float, np.ndarray]]:
    """Single hits as (start in seconds, float32 [S]), each from shortly before its attack to the next one."""
    attacks = [max(0.0, float(time) - HEARD_AFTER_S) for time in onsets_s]
    ends = [*attacks[1:], len(waveform) / sample_rate + PRE_S]
    found = []
    for attack, end in zip(attacks, ends, strict=True):
        start = max(round((attack - PRE_S) * sample_rate), 0)
        stop = min(round((end - PRE_S) * sample_rate), len(waveform))
        piece = np.asarray(waveform[start:stop], np.float32)
        audible = np.flatnonzero(np.abs(piece) > np.abs(piece).max(initial=0.0) * 10 ** (-TAIL_DB / 20))
        if not len(audible):
            continue
        piece = faded(piece[: audible[-1] + 1], round(0.002 * sample_rate), round(CUT_S * sample_rate))
        found.append((start / sample_rate, piece))
    return found
