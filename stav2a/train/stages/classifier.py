"""Stage `classifier`: the bank classifier, the network of FD_bank, KL_bank and IS_bank. It is not part of a model.

It is trained on recordings under open licences only (CC0, CC BY, MIT, public domain), so that its weights can be
redistributed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.signal import fftconvolve
from torch import Tensor
from torch.nn import functional

from stav2a.data.soundbank import SoundBank
from stav2a.metrics.bank_classifier import BankClassifier, describe, rank_of
from stav2a.metrics.chance import bootstrap_ci
from stav2a.timeline import COMPACT
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.stage import Stage
from stav2a.train.sources.classifier_examples import Examples


@dataclass
class ClassifierOptions:
    width: int = 24  # channels of the first layer; each later one has twice as many
    window_s: float = 1.6
    label_smoothing: float = 0.1


class ClassifierStage(Stage):
    """Writes `bank_classifier` with its accuracy on recordings of the other splits."""

    name = "classifier"
    Options = ClassifierOptions
    options: ClassifierOptions

    def __init__(self, config: TrainConfig):
        super().__init__(config)
        if not config.bank:
            raise ValueError("The classifier learns from a sound bank: give bank=FOLDER.")
        bank = SoundBank(config.bank, "train")
        if not len(bank):
            raise ValueError(f"The training split of {config.bank} holds no recordings under open licences.")
        torch.manual_seed(config.seed)
        channels = tuple(self.options.width * 2**k for k in range(4))
        self.classifier = BankClassifier(bank.classes, channels, stem_stride=2, window_s=self.options.window_s)
        self.classifier.to(memory_format=torch.channels_last)  # a quarter faster on CPUs
        self._examples: dict[str, Examples] = {}

    def examples(self, split: str) -> Examples:
        if split not in self._examples:
            bank = SoundBank(self.config.bank, split)
            self._examples[split] = Examples(
                bank, self.options.window_s, self.config.seed, classes=self.classifier.classes
            )
        return self._examples[split]

    def sample(self, split: str, index: int) -> dict[str, Tensor]:
        mel, target = self.examples(split)(index)
        return {"mel": torch.from_numpy(mel), "target": torch.from_numpy(target)}

    def forward(self, batch: dict[str, Tensor], phase: str = "main") -> dict[str, Tensor]:
        """batch: `mel` Tensor[B, M, F], `target` Tensor[B, C], shares of classes that sum to 1."""
        logits = self.classifier(batch["mel"])[1]
        smoothing = self.options.label_smoothing if self.training else 0.0
        return {"loss": functional.cross_entropy(logits, batch["target"], label_smoothing=smoothing)}

    def export(self, folder: Path) -> None:
        """Write the classifier and `metrics.json`: its accuracy on recordings outside the training split."""
        out = folder / "bank_classifier"
        self.classifier.save(out)
        made = BankClassifier.load(out)  # what is measured is what was written
        report = {}
        for split in ("val", "test"):
            bank = SoundBank(self.config.bank, split)
            report[split] = measure(made, bank)
            report[f"{split}_room_noise"] = measure(made, bank, np.random.default_rng(0))
        (out / "metrics.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def measure(model: BankClassifier, bank: SoundBank, rng: np.random.Generator | None = None) -> dict:
    """Top-1 and top-5 accuracy over whole recordings, each once; with `rng`, in a room and over noise."""
    ranks = []
    for entry in bank.entries:
        if entry.cls not in model.classes:
            continue
        waveform = bank.load(entry)
        if rng is not None:
            waveform = at_level(in_a_room(waveform, rng), -12.0)
            waveform = waveform + at_level(rng.standard_normal(len(waveform)), -rng.uniform(32, 52))
        ranks.append(rank_of(describe(model, waveform).probabilities, model.classes, entry.cls))
    ranks = np.asarray(ranks)
    result = {"n": len(ranks)}
    for top in (1, 5) if len(ranks) else ():
        hits = (ranks <= top).astype(float)
        result[f"top{top}"], result[f"top{top}_ci95"] = float(hits.mean()), bootstrap_ci(hits)
    return result


def at_level(waveform: np.ndarray, peak_db: float) -> np.ndarray:
    peak = np.abs(waveform).max()
    return waveform * (10 ** (peak_db / 20) / peak) if peak > 0 else waveform


def in_a_room(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exponentially decaying noise as the room's response, mixed under the direct sound."""
    decay_s = rng.uniform(0.1, 0.8)
    seconds = np.arange(round(0.6 * decay_s * COMPACT.sample_rate)) / COMPACT.sample_rate
    impulse = rng.standard_normal(len(seconds)) * np.exp(-6.9 * seconds / decay_s)
    impulse *= rng.uniform(0.05, 0.6) / np.sqrt((impulse**2).sum())
    impulse[0] = 1.0
    return fftconvolve(waveform, impulse)[: len(waveform)]
