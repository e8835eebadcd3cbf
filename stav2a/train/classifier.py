"""Train the bank classifier: python -m stav2a train classifier --bank FOLDER

One example is a window of 2.56 s with a sound of one class, placed, repeated, pitched, filtered, put into a
room, over noise and sometimes over a softer sound of another class. Example i of a seed is always the same,
whatever the number of workers. Only recordings under open licences (CC0, CC BY, MIT, public domain) are
learnt from.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.signal import fftconvolve, lfilter
from torch import nn
from torch.utils.data import DataLoader, Dataset

from stav2a.data.soundbank import SoundBank
from stav2a.metrics.bank_classifier import ASSETS, WINDOW_S, BankClassifier, describe, rank_of
from stav2a.metrics.chance import bootstrap_ci
from stav2a.sound.mel import log_mel
from stav2a.timeline import COMPACT

SECOND_WEIGHT = 0.2  # of the target that a softer second sound gets


@dataclass
class Settings:
    bank: str
    out: str = str(ASSETS)
    steps: int = 650
    batch: int = 48
    lr: float = 2e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    seed: int = 0
    workers: int = 1


class Windows(Dataset):
    """Endless training examples: (waveform float32 [S], target float32 [C])."""

    def __init__(self, bank: SoundBank, classes: list[str], count: int, seed: int):
        self.bank, self.classes, self.count, self.seed = bank, classes, count, seed
        self.size = round(WINDOW_S * COMPACT.sample_rate)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self.seed, index])
        first, second = rng.integers(0, len(self.classes), 2)  # classes are equally likely, however rich
        target = np.zeros(len(self.classes), np.float32)
        waveform = at_level(self.lay(self.classes[first], rng), 0.0)
        if rng.random() < 0.25 and first != second:
            softer = at_level(self.lay(self.classes[second], rng), -rng.uniform(6, 20))
            waveform = waveform + softer
            target[second] = SECOND_WEIGHT
        target[first] = 1.0 - target.sum()
        if rng.random() < 0.5:
            waveform = in_a_room(waveform, rng)
        if rng.random() < 0.5:  # tilt: one pole of low-pass or one zero of high-pass
            bend = rng.uniform(0.1, 0.7)
            low = rng.random() < 0.5
            waveform = (
                lfilter([1 - bend], [1, -bend], waveform) if low else lfilter([1, -bend], [1], waveform)
            )
        if rng.random() < 0.8:
            noise = lfilter([1], [1, -rng.choice([0.0, 0.7, 0.95])], rng.standard_normal(self.size))
            waveform = at_level(waveform, 0.0) + at_level(noise, -rng.uniform(5, 45))
        return at_level(waveform, -rng.uniform(10, 40)).astype(np.float32), target

    def lay(self, cls: str, rng: np.random.Generator) -> np.ndarray:
        """A window with recordings of a class: one-shots several times, textures throughout."""
        entries = self.bank.by_class(cls)
        entry = entries[rng.integers(len(entries))]
        sound = self.bank.load(entry)
        if rng.random() < 0.5:  # speed, and pitch with it
            length = max(16, round(len(sound) / rng.uniform(0.88, 1.14)))
            sound = np.interp(np.linspace(0, len(sound) - 1, length), np.arange(len(sound)), sound)
        out = np.zeros(self.size, np.float32)
        if entry.kind == "texture":
            return np.resize(np.roll(sound, rng.integers(len(sound))), self.size).astype(np.float32)
        if len(sound) > self.size and rng.random() < 0.7:
            start = rng.integers(len(sound) - self.size)
            return np.asarray(sound[start : start + self.size], np.float32)
        for start in rng.integers(0, max(1, self.size - len(sound) // 2), rng.integers(1, 5)):
            part = sound[: self.size - start]
            out[start : start + len(part)] += rng.uniform(0.4, 1.0) * part
        return out


def at_level(waveform: np.ndarray, peak_db: float) -> np.ndarray:
    peak = np.abs(waveform).max()
    return waveform * (10 ** (peak_db / 20) / peak) if peak > 0 else waveform


def in_a_room(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exponentially decaying noise as the room's response, mixed under the direct sound."""
    rate = COMPACT.sample_rate
    decay_s = rng.uniform(0.1, 0.8)
    seconds = np.arange(round(0.6 * decay_s * rate)) / rate
    response = rng.standard_normal(len(seconds)) * np.exp(-6.9 * seconds / decay_s)
    response *= rng.uniform(0.05, 0.6) / np.sqrt((response**2).sum())
    response[0] = 1.0
    return fftconvolve(waveform, response)[: len(waveform)]


def train(settings: Settings) -> BankClassifier:
    torch.manual_seed(settings.seed)
    bank = SoundBank(settings.bank, "train", "open")
    model = BankClassifier(bank.classes).to(memory_format=torch.channels_last)  # a third faster on CPUs
    data = Windows(bank, bank.classes, settings.steps * settings.batch, settings.seed)
    loader = DataLoader(data, settings.batch, num_workers=settings.workers)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, settings.steps, pct_start=0.15)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing)

    started, mean_loss = time.monotonic(), None
    model.train()
    for step, (waveform, target) in enumerate(loader, 1):
        mel = masked(log_mel(waveform, COMPACT))
        _, logits = model(mel)
        loss = loss_fn(logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        mean_loss = loss.item() if mean_loss is None else 0.98 * mean_loss + 0.02 * loss.item()
        if step % 50 == 0 or step == settings.steps:
            print(
                f"step {step}/{settings.steps} loss {mean_loss:.3f} {time.monotonic() - started:.0f} s",
                flush=True,
            )
    return model.eval()


def masked(mel: torch.Tensor) -> torch.Tensor:
    """SpecAugment: one band of up to 12 mel bins of every example is silenced."""
    mel = mel.clone()
    for item in mel:
        width, start = torch.randint(0, 13, ()), torch.randint(0, mel.shape[-1] - 12, ())
        item[:, start : start + width] = item.min()
    return mel


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
    for top in (1, 5):
        hits = (ranks <= top).astype(float)
        result[f"top{top}"], result[f"top{top}_ci95"] = float(hits.mean()), bootstrap_ci(hits)
    return result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bank", required=True, help="folder of the sound bank (manifest.csv and audio/)")
    parser.add_argument("--out", default=Settings.out, help="where the trained classifier is written")
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--batch", type=int, default=Settings.batch)
    parser.add_argument("--lr", type=float, default=Settings.lr)
    parser.add_argument("--seed", type=int, default=Settings.seed)
    parser.add_argument("--workers", type=int, default=Settings.workers)


def run(args: argparse.Namespace) -> int:
    import json

    names = {
        field: getattr(args, field) for field in ("bank", "out", "steps", "batch", "lr", "seed", "workers")
    }
    settings = Settings(**names)
    started = time.monotonic()
    model = train(settings)
    minutes = (time.monotonic() - started) / 60
    model.save(settings.out)
    model = BankClassifier.load(settings.out)  # what is measured is what was written
    report = {
        "settings": {**asdict(settings), "bank": Path(settings.bank).name, "out": ""},
        "minutes": minutes,
    }
    for split in ("val", "test"):
        bank = SoundBank(settings.bank, split)
        report[split] = measure(model, bank)
        report[f"{split}_room_noise"] = measure(model, bank, np.random.default_rng(0))
    (Path(settings.out) / "metrics.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report))
    return 0
