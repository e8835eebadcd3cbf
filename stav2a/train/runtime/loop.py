"""The loop every stage shares, on accelerate: batches by index, EMA, validation, exact resume."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from stav2a.models import licences
from stav2a.train.runtime.checkpoint import EMA, export, gathered, latest, restore, save
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.machine import agreed, configure, make_optimizers, start, unsharded, unsharded_copy
from stav2a.train.runtime.stage import Stage, seed_of
from stav2a.train.runtime.tracking import begin, record, show


class Share(Sequence):
    """The samples of a run that one process of `processes` takes, in order: of every `micro * processes` in a row the
    `micro` at its rank. Computed on demand, because a run may have a hundred million samples.
    """

    def __init__(self, first: int, stop: int, micro: int, rank: int = 0, processes: int = 1):
        self.first, self.micro, self.rank, self.processes = first, micro, rank, processes
        rounds, rest = divmod(max(stop - first, 0), micro * processes)
        assert not rest, f"{first=} {stop=} {micro=} {processes=}"
        self.count = rounds * micro

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, position: int) -> int:
        if not 0 <= position < self.count:
            raise IndexError(position)
        turn, place = divmod(position, self.micro)
        return self.first + (turn * self.processes + self.rank) * self.micro + place


class Indexed(Dataset):
    """Samples of a split that belong to one process, numbered over the whole run."""

    def __init__(self, stage: Stage, split: str, indices: Sequence[int]):
        self.stage, self.split, self.indices = stage, split, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        index = self.indices[position]
        return {**self.stage.sample(self.split, index), "index": torch.tensor(index)}


def on_device(batch: dict, device) -> dict:
    return {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}


def loader(stage: Stage, split: str, indices: Sequence[int], batch_size: int, workers: int) -> DataLoader:
    return DataLoader(
        Indexed(stage, split, indices),
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=default_collate,
        worker_init_fn=own_process_group,
        persistent_workers=False,
    )


def own_process_group(worker: int) -> None:
    """Put a data loader worker into its own process group: Ctrl-C and torchrun signal a whole group, and would end the
    worker before the training is saved. It ends with the training process."""
    if hasattr(os, "setpgid"):  # not on Windows
        os.setpgid(0, 0)


def learning_rate(step: int, config: TrainConfig, progress: float) -> float:
    """Linear warm-up, then a cosine down to `final_lr * lr`; `progress` in [0, 1] of steps or minutes."""
    warm = min(1.0, (step + 1) / max(config.warmup, 1))
    cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return config.lr * warm * (config.final_lr + (1 - config.final_lr) * cosine)


class Stop:
    """Set by SIGTERM and SIGINT, after which the loop saves and returns."""

    def __init__(self):
        self.asked = False
        self._before = {}

    def __enter__(self) -> Stop:
        for name in (signal.SIGTERM, signal.SIGINT):
            self._before[name] = signal.signal(name, self._ask)
        return self

    def __exit__(self, *error) -> None:
        for name, handler in self._before.items():
            signal.signal(name, handler)

    def _ask(self, *_: object) -> None:
        self.asked = True


def train(stage: Stage, config: TrainConfig, until: int | None = None) -> dict[str, float]:
    """Train `stage` to `config.steps` (or `max_minutes`), resuming from the newest checkpoint in its folder.

    `until`: save and stop after this step.

    Returns the last validation's measures. Logs go to `OUT/STAGE/log.jsonl` and to the configured trackers.
    """
    folder = Path(config.out) / stage.name
    there = licences.parts_in(config.parts)
    accelerator, micro = start(stage, config, folder)
    torch.manual_seed(config.seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config.to_dict(), indent=1))
    begin(accelerator, stage.name, config)

    stage = configure(stage, config, accelerator)
    copy = unsharded_copy(stage, accelerator)
    optimizers = make_optimizers(stage, config)
    model, *prepared = accelerator.prepare(stage, *optimizers.values())
    optimizers = dict(zip(stage.phases, prepared, strict=True))
    bare = accelerator.unwrap_model(model)
    ema = EMA(bare, config.ema_decay)
    state = {"step": 0, "minutes": 0.0, "best": math.inf}
    if (found := latest(folder)) is not None:
        state.update(restore(found, bare, optimizers, ema))
        accelerator.print(f"{stage.name}: resumed at step {state['step']}")

    first = state["step"] * config.batch_size
    whole = config.steps * config.batch_size
    mine = Share(first, whole, micro, accelerator.process_index, accelerator.num_processes)
    batches = iter(loader(stage, "train", mine, micro, config.workers))
    began, sums, measures = time.monotonic(), {}, {}
    earlier = state["minutes"]

    with Stop() as stop:
        while state["step"] < config.steps:
            progress = state["step"] / config.steps
            if config.max_minutes:
                progress = max(progress, state["minutes"] / config.max_minutes)
            for optimizer in optimizers.values():
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(state["step"], config, progress)
            model.train()
            # what dropout draws follows the step, so that a resumed run draws it as well
            torch.manual_seed(seed_of(config.seed, "step", state["step"], accelerator.process_index))
            for _ in range(accelerator.gradient_accumulation_steps):
                batch = on_device(next(batches), accelerator.device)
                with accelerator.accumulate(model):
                    for phase, optimizer in optimizers.items():
                        losses = model(batch, phase)
                        accelerator.backward(losses["loss"])
                        if accelerator.sync_gradients and config.grad_clip:
                            accelerator.clip_grad_norm_(bare.phase_parameters(phase), config.grad_clip)
                        optimizer.step()
                        model.zero_grad(set_to_none=True) if accelerator.sync_gradients else None
                        for name, value in losses.items():
                            sums.setdefault(f"{phase}/{name}", []).append(value.detach())
            ema.update(bare)
            state["step"] += 1
            asked, state["minutes"] = agreed(accelerator, stop.asked, earlier + (time.monotonic() - began) / 60)
            asked |= state["step"] == until
            step, last = state["step"], state["step"] == config.steps or progress >= 1
            if step % config.log_every == 0 or last:
                means = {name: float(accelerator.reduce(torch.stack(v).mean(), "mean")) for name, v in sums.items()}
                record(accelerator, folder, step, {**means, "minutes": state["minutes"]})
                sums = {}
            if step % config.validate_every == 0 or last:
                with ema.swapped_in(bare):
                    measures = validate(accelerator, model, bare, config, micro)
                    with unsharded(bare, copy, accelerator) as whole:
                        if accelerator.is_main_process:
                            measures.update(whole.listen(folder / "samples"))
                            show(accelerator, config, folder / "samples", step)
                            cost = whole.cost(measures)
                            best, state["best"] = cost < state["best"], min(state["best"], cost)
                            if best or (last and not config.keep_best):
                                export(whole, Path(config.parts))
                                licences.note_made(config.parts, there)
                record(accelerator, folder, step, {f"validation/{k}": v for k, v in measures.items()})
            if step % config.save_every == 0 or last or asked:
                held = gathered(bare, optimizers, ema, state)
                if accelerator.is_main_process:
                    save(folder, held, config.keep)
                accelerator.wait_for_everyone()
            if last or asked:
                break
    if config.trackers:
        accelerator.end_training()
    return measures


@torch.no_grad()
def validate(accelerator: Accelerator, model, bare: Stage, config: TrainConfig, micro: int) -> dict[str, float]:
    """Mean losses over the first samples of the validation split, shared among the processes, `micro` at once."""
    model.eval()
    count = config.validation_batches * config.batch_size
    mine = range(accelerator.process_index, count, accelerator.num_processes)
    sums: dict[str, list[Tensor]] = {}
    for batch in loader(bare, "val", mine, micro, 0):
        batch = on_device(batch, accelerator.device)
        for name, value in bare(batch, bare.phases[0]).items():
            sums.setdefault(name, []).append(value.detach())
    return {name: float(accelerator.reduce(torch.stack(v).mean(), "mean")) for name, v in sums.items()}
