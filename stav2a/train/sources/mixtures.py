"""Random mixtures of recordings of a sound bank, for the VAE and the vocoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stav2a.data.soundbank import SoundBank
from stav2a.timeline import Timeline
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.stage import seed_of
from stav2a.train.sources.prepared import PreparedWorld


@dataclass
class SoundOptions:
    shards: str | None = None  # folder of prepared clips; else the sounds of `bank`


class Mixtures:
    """`mixtures(split, index)` -> float32 [S]: up to three recordings at random times and levels, or silence.

    Levels span 30 dB and a faint noise floor comes and goes, so that quiet sound and digital silence are both
    familiar. Where `bank` or `options.shards` is a folder of prepared clips (`data prepare`), stretches of
    their sound as they are, marked ones too.
    """

    def __init__(self, config: TrainConfig, options: SoundOptions, timeline: Timeline):
        bank = options.shards or config.bank
        if not bank:
            raise ValueError("This stage needs a sound bank: set bank=FOLDER.")
        self.samples, self.seed, self.clips = round(config.crop_s * timeline.sample_rate), config.seed, None
        if (Path(bank) / "dataset.json").is_file():
            self.clips = {
                split: PreparedWorld(bank, split, timeline, config.crop_s, config.seed, filtered=False)
                for split in ("train", "val")
            }
            return
        self.banks = {split: SoundBank(bank, split) for split in ("train", "val")}

    def __call__(self, split: str, index: int) -> np.ndarray:
        if self.clips is not None:
            return self.clips[split].sound(index).waveform
        rng = np.random.default_rng(seed_of(self.seed, "mixtures", split, index))
        bank = self.banks[split]
        mix = np.zeros(self.samples, np.float32)
        for _ in range(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1])):
            classes = bank.classes
            entries = bank.by_class(classes[rng.integers(len(classes))])
            sound = bank.load(entries[rng.integers(len(entries))])
            start = int(rng.integers(-max(len(sound) - self.samples // 4, 0), self.samples * 3 // 4))
            place, sound = max(start, 0), sound[max(-start, 0) :]
            sound = sound[: self.samples - place]
            mix[place : place + len(sound)] += sound * np.float32(10 ** rng.uniform(-1.5, 0))
        if rng.random() < 0.3:
            mix += rng.standard_normal(self.samples).astype(np.float32) * np.float32(10 ** rng.uniform(-4.5, -3))
        return mix / max(1.0, float(np.abs(mix).max()) / 0.95)
