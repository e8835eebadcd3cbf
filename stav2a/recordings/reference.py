"""A person's own sound in place of a recording of the shelf: trimmed to its best attack, or looped if it goes on."""

from __future__ import annotations

import numpy as np

from stav2a.media.limits import InputError
from stav2a.recordings.attacks import attacks
from stav2a.recordings.place import EDGE_S, Hit
from stav2a.recordings.voice import CUT_S, PRE_S, TEXTURE_LEVEL, Voice, at_level, faded, rms

REFERENCE_STRENGTH = 0.7  # where a reference is given and no strength
SILENT_DB = -70.0  # RMS of the loudest 50 ms below which there is nothing to hear
FLOOR_DB = 40.0  # what lies so far below the peak at both ends is cut off
BLOCK_S = 0.05
STEADY_DB = 12.0  # between the loudest tenth of the blocks and the quietest one of a sound that goes on
STEADY_S = 1.0
BEST_WITHIN_DB = 6.0  # of attacks so close to the loudest the clearest one is taken


def reference_voice(waveform: np.ndarray, sample_rate: int) -> Voice:
    """The voice of a sound float [S]: `InputError` where it is silent.

    A sound of a second or more that keeps its level becomes a texture. Else the attack that rises most clearly above
    what precedes it is cut out, up to the next attack or to its end.
    """
    levels = _levels_db(waveform, sample_rate)
    if levels.max() < SILENT_DB:
        raise InputError("The reference sound is silent.")
    first, last = _sounding(levels)
    block = round(BLOCK_S * sample_rate)
    waveform = waveform[first * block : (last + 1) * block].astype(np.float32)
    levels = levels[first : last + 1]
    steady = np.quantile(levels, 0.9) - np.quantile(levels, 0.1) < STEADY_DB
    if steady and len(waveform) >= STEADY_S * sample_rate:
        return Voice("reference", "", texture=(waveform * (TEXTURE_LEVEL / rms(waveform))).astype(np.float32))
    hit = best_hit(waveform, sample_rate)
    return Voice("reference", "", (hit,), whole=(hit.waveform,))


def best_hit(waveform: np.ndarray, sample_rate: int) -> Hit:
    """The clearest attack of float32 [S] with what rings after it, at the level of all hits."""
    found = attacks(waveform, sample_rate)
    if not found:
        return Hit(at_level(faded(waveform, round(EDGE_S * sample_rate), 0), sample_rate), 0)
    ends = [*found[1:], len(waveform) / sample_rate + CUT_S]
    loud, rise = [], []
    for attack, end in zip(found, ends, strict=True):
        at = round(attack * sample_rate)
        after = waveform[at : at + round(0.08 * sample_rate)]
        before = waveform[max(0, at - round(0.05 * sample_rate)) : max(0, at - round(0.005 * sample_rate))]
        loud.append(20 * np.log10(rms(after) + 1e-6))
        rise.append(loud[-1] - 20 * np.log10(rms(before) + 1e-3) + min(end - attack, 1.0))
    candidates = [k for k, level in enumerate(loud) if level >= max(loud) - BEST_WITHIN_DB]
    best = max(candidates, key=lambda k: (rise[k], -k))
    start = max(round((found[best] - PRE_S) * sample_rate), 0)
    stop = min(round((ends[best] - CUT_S) * sample_rate), len(waveform))
    piece = faded(waveform[start:stop], round(EDGE_S * sample_rate), round(CUT_S * sample_rate))
    return Hit(at_level(piece, sample_rate), round(found[best] * sample_rate) - start)


def _levels_db(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """RMS of each BLOCK_S in dB, the last one filled with silence."""
    size = round(BLOCK_S * sample_rate)
    padded = np.pad(np.asarray(waveform, np.float64), (0, -len(waveform) % size))
    return 20 * np.log10(np.sqrt((padded.reshape(-1, size) ** 2).mean(1)) + 1e-9)


def _sounding(levels: np.ndarray) -> tuple[int, int]:
    places = np.flatnonzero(levels >= levels.max() - FLOOR_DB)
    return int(places[0]), int(places[-1])
