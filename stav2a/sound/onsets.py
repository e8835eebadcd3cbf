"""Onsets: when sounds begin, as times in seconds and as curves over time.

An onset's time is when it is *heard*: what librosa's detector with its default settings answers on audio at
22,050 Hz, as in the authors' AA-Align and AV-Align. Its window of 93 ms answers `HEARD_AFTER_S` after the attack.
Labels, predictions, edits and detections in generated sound all use this time.

The detector `"attack"` is sharper: its 32 ms window puts attacks within about 10 ms, and it drops peaks of the onset
strength without a rise of the level. It compares sounds with each other.
"""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np

from stav2a.sound.compiled import librosa

Detector = Literal["attack", "librosa"]

LIBROSA_RATE = 22_050  # Hz, librosa's own default, to which the authors resample
LIBROSA_HOP = 512
ATTACK_RATE = 16_000
ATTACK_HOP = 128  # 8 ms
HEARD_AFTER_S = 0.03  # "librosa" answers this much after the attack, which pictures show as the contact
SILENCE_DB = -60.0  # dB full scale: below this peak level a waveform counts as silent
LEAD_IN_S = 0.2  # silence put before the sound, so that an attack at its very beginning is a rise as well
RISE_DB = 5.0  # an attack lifts the level by at least this much ...
RISE_WITHIN_S = 0.06  # ... within this time ...
BELOW_PEAK_DB = 26.0  # ... and comes this close to the loudest moment


def as_mono(waveform: np.ndarray) -> np.ndarray:
    """`waveform` [S], [channels, S] or [S, channels] -> float32 [S]; NaN and infinities become 0."""
    waveform = np.asarray(waveform, dtype=np.float32)
    if waveform.ndim == 2:
        waveform = waveform.mean(axis=int(np.argmin(waveform.shape)))
    if waveform.ndim != 1:
        raise ValueError(f"a waveform has 1 or 2 axes, this one has {waveform.ndim}")
    return np.nan_to_num(waveform, nan=0.0, posinf=0.0, neginf=0.0)


def detect_onsets(waveform: np.ndarray, sample_rate: int, detector: Detector = "librosa") -> np.ndarray:
    """Times of the onsets in seconds, ascending; none for silence.

    waveform: float [S], any level; sample_rate: Hz.
    """
    if detector == "librosa":
        return strength_onsets(onset_strength(waveform, sample_rate))
    if detector == "attack":
        return _attack_onsets(as_mono(waveform), sample_rate)
    raise ValueError(f"detector is 'attack' or 'librosa', not {detector!r}")


def onset_strength(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """The onset detection function of the authors' settings: float32 [frames], `onset_frame_s()` apart."""
    waveform = resample(as_mono(waveform), sample_rate, LIBROSA_RATE)
    if waveform.size < 2 or not waveform.any():
        return np.zeros(1 + waveform.size // LIBROSA_HOP, np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_fft=.* is too large")  # clips shorter than one window
        return librosa().onset.onset_strength(y=waveform, sr=LIBROSA_RATE, hop_length=LIBROSA_HOP)


def onset_frame_s() -> float:
    """Seconds between two values of `onset_strength`."""
    return LIBROSA_HOP / LIBROSA_RATE


def strength_onsets(strength: np.ndarray) -> np.ndarray:
    """Onsets in seconds of a curve from `onset_strength`, picked as the authors do."""
    if not strength.any():
        return np.zeros(0)
    frames = librosa().onset.onset_detect(onset_envelope=strength, sr=LIBROSA_RATE, hop_length=LIBROSA_HOP)
    return librosa().frames_to_time(frames, sr=LIBROSA_RATE, hop_length=LIBROSA_HOP)


def stronger_half(onsets_s: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """The half of the onsets, rounded up, that are strongest in a curve from `onset_strength`; ascending seconds."""
    onsets_s = np.asarray(onsets_s, dtype=np.float64)
    if len(onsets_s) < 2:
        return onsets_s
    frames = np.round(onsets_s / onset_frame_s()).astype(int).clip(0, len(strength) - 1)
    strongest = np.argsort(-strength[frames], kind="stable")[: -(-len(onsets_s) // 2)]
    return onsets_s[np.sort(strongest)]


def _attack_onsets(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    waveform = resample(waveform, sample_rate, ATTACK_RATE)
    if not waveform.size or np.abs(waveform).max() < 10 ** (SILENCE_DB / 20):
        return np.zeros(0)
    lead_in = round(LEAD_IN_S * ATTACK_RATE)
    waveform = np.concatenate([np.zeros(lead_in, np.float32), waveform])

    onset = librosa().onset
    strength = onset.onset_strength(y=waveform, sr=ATTACK_RATE, n_fft=512, hop_length=ATTACK_HOP, n_mels=64)
    frames = onset.onset_detect(onset_envelope=strength, sr=ATTACK_RATE, hop_length=ATTACK_HOP, backtrack=True)
    times_s = np.unique(frames) * ATTACK_HOP / ATTACK_RATE
    times_s = times_s[_rises(waveform, times_s)] - LEAD_IN_S
    return np.maximum(times_s, 0.0)


def _rises(waveform: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """Which of the times have an attack in the level (RMS of 5 ms every 4 ms): bool [len(times_s)]."""
    hop = ATTACK_HOP // 2
    rms = librosa().feature.rms(y=waveform, frame_length=80, hop_length=hop)[0]
    level_db = 20 * np.log10(np.maximum(rms, 1e-7))
    hop_s = hop / ATTACK_RATE
    before, after = round(0.02 / hop_s), round(RISE_WITHIN_S / hop_s)
    keep = np.zeros(len(times_s), bool)
    for index, frame in enumerate(np.round(times_s / hop_s).astype(int)):
        frame = min(frame, len(level_db) - 1)
        low = level_db[max(0, frame - before) : frame + 1].min()
        high = level_db[frame : frame + after + 1].max()
        keep[index] = high - low >= RISE_DB and high >= level_db.max() - BELOW_PEAK_DB
    return keep


def resample(waveform: np.ndarray, sample_rate: int, target_rate: int) -> np.ndarray:
    if sample_rate <= 0:
        raise ValueError(f"a sample rate is a positive number of Hz, not {sample_rate}")
    if sample_rate == target_rate or not waveform.size:
        return waveform
    return librosa().resample(waveform, orig_sr=sample_rate, target_sr=target_rate)
