"""Train the bank classifier: python -m stav2a train classifier bank=FOLDER [name=value ...]

Only recordings under open licences (CC0, CC BY, MIT, public domain) are learnt from, so that the weights can
be given away. A stopped run goes on from `out/training.pt`, with the examples it would have seen.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from scipy.signal import fftconvolve
from torch import Tensor, nn

from stav2a.data.soundbank import SoundBank
from stav2a.metrics.bank_classifier import BankClassifier, describe, rank_of
from stav2a.metrics.chance import bootstrap_ci
from stav2a.timeline import COMPACT
from stav2a.train.runtime.checkpoint import EMA
from stav2a.train.sources.classifier_examples import Examples


@dataclass
class Settings:
    bank: str
    out: str = "runs/bank_classifier"
    export: str = ""  # a folder whose classifier is replaced if this one is better on the validation split
    steps: int = 6000
    batch: int = 32
    width: int = 24  # channels of the first layer; each later one has twice as many
    window_s: float = 1.6
    lr: float = 2e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    ema_decay: float = 0.998
    save_every: int = 250
    seed: int = 0


class Run:
    """Model, optimiser, average and step of a training; `save` and `restore` make it whole again."""

    def __init__(self, settings: Settings, classes: list[str]):
        torch.manual_seed(settings.seed)
        channels = tuple(settings.width * 2**k for k in range(4))
        self.model = BankClassifier(classes, channels, stem_stride=2, window_s=settings.window_s)
        self.model.to(memory_format=torch.channels_last)  # a quarter faster on CPUs
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), settings.lr, betas=(0.9, 0.99), weight_decay=settings.weight_decay
        )
        self.ema, self.step, self.seconds = EMA(self.model, settings.ema_decay), 0, 0.0

    def save(self, file: Path) -> None:
        part = file.with_suffix(".part")
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema.average,
            "ema_updates": self.ema.updates,
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(state, part)
        part.replace(file)

    def restore(self, file: Path) -> None:
        state = torch.load(file, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema.average, self.ema.updates = state["ema"], state["ema_updates"]
        self.step, self.seconds = state["step"], state["seconds"]


def train(settings: Settings) -> tuple[BankClassifier, float]:
    """-> (the averaged classifier in eval mode, processor seconds that its training took)."""
    bank = SoundBank(settings.bank, "train")
    if not len(bank):
        raise ValueError(f"The training split of {settings.bank} holds no recordings under open licences.")
    examples = Examples(bank, settings.window_s, settings.seed)
    run = Run(settings, bank.classes)
    file = Path(settings.out) / "training.pt"
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.is_file():
        run.restore(file)
        print(f"resumed at step {run.step}", flush=True)
    mean_loss = math.nan
    while run.step < settings.steps:
        began = time.process_time()
        loss = one_step(run, settings, *examples.batch(run.step * settings.batch, settings.batch))
        run.seconds += time.process_time() - began
        mean_loss = loss if math.isnan(mean_loss) else 0.98 * mean_loss + 0.02 * loss
        if run.step % 50 == 0 or run.step == settings.steps:
            print(
                f"step {run.step}/{settings.steps} loss {mean_loss:.3f}, {run.seconds:.0f} s of processor", flush=True
            )
        if run.step % settings.save_every == 0 or run.step == settings.steps:
            run.save(file)
    run.model.load_state_dict(run.ema.average)
    return run.model.eval(), run.seconds


def one_step(run: Run, settings: Settings, mels: Tensor, targets: Tensor) -> float:
    warm = min(1.0, (run.step + 1) / max(0.05 * settings.steps, 1))
    lr = settings.lr * warm * 0.5 * (1 + math.cos(math.pi * run.step / settings.steps))
    for group in run.optimizer.param_groups:
        group["lr"] = lr
    torch.manual_seed(settings.seed + run.step)  # dropout follows the step, so that a resumed run draws it as well
    run.model.train()
    logits = run.model(mels)[1]
    loss = nn.functional.cross_entropy(logits, targets, label_smoothing=settings.label_smoothing)
    run.optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(run.model.parameters(), 5.0)
    run.optimizer.step()
    run.ema.update(run.model)
    run.step += 1
    return loss.item()


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
    model, seconds = train(settings)
    model.save(settings.out)
    model = BankClassifier.load(settings.out)  # what is measured is what was written
    known = {**asdict(settings), "bank": Path(settings.bank).name, "out": "", "export": ""}
    report = {"settings": known, "processor_minutes": seconds / 60}
    for split in ("val", "test"):
        bank = SoundBank(settings.bank, split)
        report[split] = measure(model, bank)
        report[f"{split}_room_noise"] = measure(model, bank, np.random.default_rng(0))
    (Path(settings.out) / "metrics.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report))
    if settings.export:
        print(export(Path(settings.out), Path(settings.export)))
    return 0


def export(made: Path, target: Path) -> str:
    """Copy the classifier in `made` to `target`, unless the one there is as good on the validation split."""
    new = json.loads((made / "metrics.json").read_text(encoding="utf-8"))["val"]["top1"]
    there = target / "metrics.json"
    old = json.loads(there.read_text(encoding="utf-8"))["val"]["top1"] if there.is_file() else -1.0
    if new <= old:
        return f"{target} keeps its classifier: validation top-1 {old:.3f}, the new one has {new:.3f}"
    target.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "model.safetensors", "metrics.json"):
        shutil.copy(made / name, target / name)
    return f"{target} has the new classifier: validation top-1 {new:.3f}"
