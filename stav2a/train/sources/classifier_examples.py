"""Examples for the bank classifier, made of log-mels that are computed once and kept in memory.

Everything that would cost a spectrogram at each example is done on mel power instead: sounds are placed,
repeated and mixed by adding power, a room smears it forwards in time, a microphone tilts its bands, noise
fills its gaps. An example costs about 1 ms, a twentieth of learning from it.

Letters: M mel frames (10 ms each), F mel bins, C classes.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.signal import lfilter

from stav2a.data.soundbank import SoundBank
from stav2a.sound.mel import LOG_FLOOR, N_FFT, log_mel
from stav2a.timeline import COMPACT

SPEEDS = (0.84, 0.92, 1.0, 1.09, 1.19)  # of playing a recording: pitch goes with it
FLOOR = LOG_FLOOR**2  # power of silence


class Examples:
    """`examples(index)` -> (log-mel float32 [M, F], target float32 [C]); a function of seed and index alone."""

    def __init__(
        self, bank: SoundBank, window_s: float, seed: int, mixed: float = 0.5, classes: list[str] | None = None
    ):
        """classes: names in the order of the targets; those without a recording in `bank` never come up."""
        self.classes, self.seed, self.mixed = classes or bank.classes, seed, mixed
        self.frames = round(window_s * COMPACT.sample_rate / COMPACT.hop_length)
        self.mels: list[list[tuple[str, list[np.ndarray]]]] = []  # class -> recordings -> one log-mel a speed
        for name in self.classes:
            entries = bank.by_class(name)
            self.mels.append([(e.kind, [mel_at(bank.load(e), speed) for speed in SPEEDS]) for e in entries])
        self.filled = [place for place, recordings in enumerate(self.mels) if recordings]
        if not self.filled:
            raise ValueError("The sound bank holds no recording of any of the classes.")

    def __call__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self.seed, index])
        first, second = (
            self.filled[k] for k in rng.integers(0, len(self.filled), 2)
        )  # classes are equally likely, however rich
        target = np.zeros(len(self.classes), np.float32)
        power, share = self.laid(first, rng), 1.0
        if rng.random() < self.mixed:  # between-class learning (Tokozume et al. 2018): as loud, so much in the label
            share = rng.uniform(0.3, 1.0)
            power = share**2 * power + (1 - share) ** 2 * self.laid(second, rng)
        target[first] += share
        target[second] += 1 - share
        if rng.random() < 0.4:
            power = in_a_room(power, rng)
        if rng.random() < 0.5:
            power = power * response(power.shape[1], rng)
        if rng.random() < 0.7:
            power = power + noise(power.shape, rng) * power.max()
        return masked(0.5 * np.log(np.maximum(power, FLOOR)), rng).astype(np.float32), target

    def batch(self, first: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Examples `first` .. `first + size`: Tensor[size, M, F], Tensor[size, C]."""
        mels, targets = zip(*(self(index) for index in range(first, first + size)), strict=True)
        return torch.from_numpy(np.stack(mels)), torch.from_numpy(np.stack(targets))

    def laid(self, cls: int, rng: np.random.Generator) -> np.ndarray:
        """Mel power [M, F], loudest value 1, of a recording: textures throughout, short sounds here and there."""
        kind, speeds = self.mels[cls][rng.integers(len(self.mels[cls]))]
        mel = speeds[rng.integers(len(speeds))].astype(np.float32)
        power = np.exp(2 * (mel - mel.max()))
        length = len(power)
        if kind == "texture" and length < 2 * self.frames:
            power = np.resize(np.roll(power, rng.integers(length), axis=0), (self.frames, power.shape[1]))
        elif length > self.frames:
            power = power[rng.integers(length - self.frames + 1) :][: self.frames]
        else:
            power = self._placed(power, rng)
        return power / max(float(power.max()), FLOOR)

    def _placed(self, power: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        out = np.zeros((self.frames, power.shape[1]), np.float32)
        times = 1 if rng.random() < 0.6 else rng.integers(2, 5)
        spare = max(1, self.frames - len(power) // 2)
        starts = rng.integers(0, spare, times)
        if rng.random() < 0.3:
            starts[0] = 0  # as recordings begin
        for start in starts:
            part = power[: self.frames - start]
            out[start : start + len(part)] += rng.uniform(0.2, 1.0) * part
        return out


def mel_at(waveform: np.ndarray, speed: float) -> np.ndarray:
    """Log-mel float16 [M, F] of a recording played at another speed; its end is rounded up to whole frames."""
    length = round(len(waveform) / speed)
    played = np.interp(np.linspace(0, len(waveform) - 1, length), np.arange(len(waveform)), waveform)
    hop = COMPACT.hop_length
    padded = np.zeros(max(-(-length // hop) * hop, N_FFT), np.float32)
    padded[:length] = played
    return log_mel(torch.from_numpy(padded)[None], COMPACT)[0].half().numpy()


def in_a_room(power: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A tail of exponential decay (reverberation time 0.15 to 1.2 s) under the direct sound."""
    decay = 10 ** (-6 * 0.01 / rng.uniform(0.15, 1.2))  # of power, from frame to frame
    level = (1 - decay) * 10 ** rng.uniform(-1.5, 0.3)
    return power + level * lfilter([0.0, decay], [1.0, -decay], power, axis=0)


def response(bins: int, rng: np.random.Generator) -> np.ndarray:
    """Power gains [F] of a microphone or loudspeaker: a tilt and two slow waves over the bands."""
    place = np.linspace(-1, 1, bins)
    gain_db = rng.uniform(-10, 10) * place
    for waves in (1, 2):
        gain_db = gain_db + rng.uniform(-4, 4) * np.cos(np.pi * waves * place + rng.uniform(0, 2 * np.pi))
    return 10 ** (gain_db / 10)


def noise(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Mel power [M, F] of steady coloured noise, 10 to 60 dB below 1."""
    return response(shape[1], rng) * rng.gamma(3.0, 1 / 3, shape) * 10 ** (-rng.uniform(1.0, 6.0))


def masked(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Up to 10 bands and up to 0.25 s silenced (SpecAugment, Park et al. 2019)."""
    floor = mel.min()
    for axis, widest in ((1, 10), (0, 25)):
        width = rng.integers(0, widest + 1)
        start = rng.integers(0, mel.shape[axis] - width)
        mel[(slice(None),) * axis + (slice(start, start + width),)] = floor
    return mel
