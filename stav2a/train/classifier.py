"""Train the bank classifier: python -m stav2a train classifier bank=FOLDER

One example is a window of 2.56 s with a sound of one class, placed, repeated, pitched, filtered, put into a
room, over noise and sometimes over a softer sound of another class. A pool of such windows is made once,
because making one costs as much as learning from it, and is drawn from many times with shifts in time and
masked bands. Only recordings under open licences (CC0, CC BY, MIT, public domain) are learnt from.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from scipy.signal import fftconvolve, lfilter
from torch import Tensor, nn
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
    pool: int = 9000
    steps: int = 2600
    batch: int = 32
    lr: float = 4e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    seed: int = 0
    workers: int = 1


class Windows(Dataset):
    """Examples (waveform float32 [S], target float32 [C]); example i of a seed is always the same."""

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
        if rng.random() < 0.2 and first != second:
            softer = at_level(self.lay(self.classes[second], rng), -rng.uniform(6, 20))
            waveform = waveform + softer
            target[second] = SECOND_WEIGHT
        target[first] = 1.0 - target.sum()
        if rng.random() < 0.5:
            waveform = in_a_room(waveform, rng)
        if rng.random() < 0.5:  # tilt: one pole of low-pass or one zero of high-pass
            bend = rng.uniform(0.1, 0.7)
            low = rng.random() < 0.5
            waveform = lfilter([1 - bend], [1, -bend], waveform) if low else lfilter([1, -bend], [1], waveform)
        if rng.random() < 0.8:
            noise = lfilter([1], [1, -rng.choice([0.0, 0.7, 0.95])], rng.standard_normal(self.size))
            waveform = at_level(waveform, 0.0) + at_level(noise, -rng.uniform(10, 50))
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


def make_pool(bank: SoundBank, classes: list[str], settings: Settings) -> tuple[Tensor, Tensor]:
    """Log-mels float16 [pool, M, 64] and targets float32 [pool, C]."""
    data = Windows(bank, classes, settings.pool, settings.seed)
    mels, targets = [], []
    for waveform, target in DataLoader(data, settings.batch, num_workers=settings.workers):
        mels.append(log_mel(waveform, COMPACT).half())
        targets.append(target)
    return torch.cat(mels), torch.cat(targets)


def train(settings: Settings) -> BankClassifier:
    torch.manual_seed(settings.seed)
    bank = SoundBank(settings.bank, "train", "open")
    model = BankClassifier(bank.classes).to(memory_format=torch.channels_last)  # a third faster on CPUs
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, settings.steps, pct_start=0.15)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing)
    started = time.monotonic()
    mels, targets = make_pool(bank, bank.classes, settings)
    print(f"pool of {len(mels)} windows, {time.monotonic() - started:.0f} s", flush=True)

    mean_loss = None
    model.train()
    for step in range(1, settings.steps + 1):
        chosen = torch.randint(0, len(mels), (settings.batch,))
        _, logits = model(varied(mels[chosen].float()))
        loss = loss_fn(logits, targets[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        mean_loss = loss.item() if mean_loss is None else 0.98 * mean_loss + 0.02 * loss.item()
        if step % 100 == 0 or step == settings.steps:
            seconds = time.monotonic() - started
            print(f"step {step}/{settings.steps} loss {mean_loss:.3f}, {seconds:.0f} s", flush=True)
    return model.eval()


def varied(mels: Tensor) -> Tensor:
    """[B, M, 64] rolled in time, one band of up to 12 bins and one stretch of up to 0.4 s silenced in each."""
    out = []
    for mel in mels:
        mel = torch.roll(mel, int(torch.randint(0, len(mel), ())), dims=0)
        floor = mel.min()
        width, start = torch.randint(0, 13, ()), torch.randint(0, mel.shape[-1] - 12, ())
        mel[:, start : start + width] = floor
        width, start = torch.randint(0, 41, ()), torch.randint(0, len(mel) - 40, ())
        mel[start : start + width] = floor
        out.append(mel)
    return torch.stack(out)


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


def settings_from(words: Sequence[str]) -> Settings:
    """`Settings` from `key=value` words."""
    kinds = {field.name: type(getattr(Settings, field.name, "")) for field in fields(Settings)}
    values = {}
    for word in words:
        key, mark, text = word.partition("=")
        if not mark or key not in kinds:
            raise ValueError(f"{word!r} is not one of {', '.join(f'{name}=' for name in kinds)}.")
        try:
            values[key] = kinds[key](text)
        except ValueError as error:
            raise ValueError(f"{key} takes a number, not {text!r}.") from error
    if "bank" not in values:
        raise ValueError("The classifier learns from a sound bank: give bank=FOLDER.")
    return Settings(**values)


def run(words: Sequence[str]) -> int:
    """Train, write the classifier and `metrics.json` beside it, print the measures."""
    settings = settings_from(words)
    started = time.monotonic()
    model = train(settings)
    minutes = (time.monotonic() - started) / 60
    model.save(settings.out)
    model = BankClassifier.load(settings.out)  # what is measured is what was written
    report = {"settings": {**asdict(settings), "bank": Path(settings.bank).name, "out": ""}, "minutes": minutes}
    for split in ("val", "test"):
        bank = SoundBank(settings.bank, split)
        report[split] = measure(model, bank)
        report[f"{split}_room_noise"] = measure(model, bank, np.random.default_rng(0))
    (Path(settings.out) / "metrics.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report))
    return 0
