"""Checkpoints of a training run: exact resume, rotation, and an average of the weights (EMA)."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from stav2a.media.limits import InputError
from stav2a.models import licences
from stav2a.train.runtime.sharding import load_optimizer, load_weights, parted, whole
from stav2a.train.runtime.stage import Stage


class EMA:
    """Exponential moving average of a module's trained parameters and of the buffers of what is trained.

    The decay warms up as `(1 + n) / (10 + n)`, so that short runs are not held back by their first weights.
    """

    def __init__(self, module: nn.Module, decay: float):
        self.decay = decay
        self.updates = 0
        self.average = {name: value.detach().clone() for name, value in self._tracked(module).items()}

    @staticmethod
    def _tracked(module: nn.Module) -> dict[str, Tensor]:
        """Layers with frozen parameters keep their buffers: a mean of what never changes is only rounded."""
        trained = {name for name, p in module.named_parameters() if p.requires_grad}
        frozen = {name.rpartition(".")[0] for name, p in module.named_parameters() if not p.requires_grad}
        state = module.state_dict()
        return {n: v for n, v in state.items() if n in trained or n.rpartition(".")[0] not in frozen}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in self._tracked(module).items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    @contextmanager
    def swapped_in(self, module: nn.Module) -> Iterator[None]:
        """Inside, the module has the averaged weights."""
        before = {name: value.detach().clone() for name, value in self._tracked(module).items()}
        module.load_state_dict(self.average, strict=False)
        try:
            yield
        finally:
            module.load_state_dict(before, strict=False)


def gathered(module: nn.Module, optimizers: dict, ema: EMA, state: dict) -> dict:
    """What a checkpoint holds; all processes call it, because their weights may be split among them."""
    return {
        "model": whole(EMA._tracked(module)),
        "ema": whole(ema.average),
        "optimizer": {phase: whole(optimizer.state_dict()) for phase, optimizer in optimizers.items()},
        "state": {**state, "ema_updates": ema.updates},
    }


def save(folder: Path, held: dict, keep: int) -> Path:
    """Write what was `gathered` as `checkpoint-STEP`, whole or not at all; drop all but the newest `keep`."""
    state = held["state"]
    target = folder / f"checkpoint-{state['step']:08d}"
    part = folder / f".{target.name}.{os.getpid()}"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        for name in ("model", "ema"):
            tensors = {key: value.detach().contiguous() for key, value in held[name].items()}
            save_file(tensors, part / f"{name}.safetensors")
        torch.save(held["optimizer"], part / "optimizer.pt")
        (part / "state.json").write_text(json.dumps(state))
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    for old in checkpoints(folder)[:-keep]:
        shutil.rmtree(old)
    return target


def export(stage: Stage, folder: Path) -> None:
    """Write the trained parts into a folder of parts. Those that are there stay until all the new ones are written."""
    folder.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".export-", dir=folder))
    try:
        for name in ("model_index.json", "defaults.json", licences.FILE):  # what a stage adds notes to
            if (folder / name).is_file():
                shutil.copy2(folder / name, part / name)
        stage.export(part)
        for made in part.iterdir():
            if made.is_dir():
                shutil.rmtree(folder / made.name, ignore_errors=True)
            made.replace(folder / made.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*"))


def latest(folder: Path) -> Path | None:
    found = checkpoints(folder)
    return found[-1] if found else None


def restore(checkpoint: Path, module: nn.Module, optimizers: dict, ema: EMA) -> dict:
    """Put weights, optimisers and the average back; return the run's state. `InputError` where they do not fit."""
    for file in ("model.safetensors", "ema.safetensors", "optimizer.pt", "state.json"):
        if not (checkpoint / file).is_file():
            raise InputError(f"{checkpoint} is incomplete: {file} is missing; remove the folder to start over.")
    weights, wanted = load_file(checkpoint / "model.safetensors"), EMA._tracked(module)
    differing = sorted(set(wanted) ^ set(weights))
    differing += [name for name in wanted if name in weights and wanted[name].shape != weights[name].shape]
    if differing:
        raise InputError(
            f"{checkpoint} holds a model of another size or kind ({differing[0]} and {len(differing) - 1} more do "
            "not match): choose another `out`, or remove the folder to start over."
        )
    load_weights(module, weights)
    averages = load_file(checkpoint / "ema.safetensors")
    ema.average = {name: parted(value, ema.average[name]) for name, value in averages.items()}
    for phase, values in torch.load(checkpoint / "optimizer.pt", weights_only=True).items():
        try:
            load_optimizer(optimizers[phase], values)
        except (KeyError, ValueError) as error:
            raise InputError(f"{checkpoint} was made with other optimiser settings: {error}.") from None
    state = json.loads((checkpoint / "state.json").read_text())
    ema.updates = state.pop("ema_updates")
    return state
