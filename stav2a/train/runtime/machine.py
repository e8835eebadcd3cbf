"""The machine of a run: processes, gradient accumulation, precision, and options that save memory or time.

DDP or FSDP, the number of processes and their devices come from accelerate's own configuration (`accelerate launch`).
The effective batch is always `batch_size` and has the same samples.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedType
from accelerate.utils import (
    DistributedDataParallelKwargs,
    ProjectConfiguration,
    is_tensorboard_available,
    is_trackio_available,
)
from torch.distributed.fsdp import FSDPModule

from stav2a.media.limits import InputError
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.sharding import whole
from stav2a.train.runtime.stage import Stage

TRACKERS = {"tensorboard": is_tensorboard_available, "trackio": is_trackio_available}
OTHERS = (DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM)


def start(stage: Stage, config: TrainConfig, folder: Path) -> tuple[Accelerator, int]:
    """-> the accelerator, and the samples per process and forward pass; `InputError` if the batch cannot be shared."""
    for name in config.trackers:
        if name not in TRACKERS:
            raise InputError(f"There is no tracker {name!r}; known: {', '.join(TRACKERS)}.")
        if not TRACKERS[name]():
            raise InputError(f"trackers names {name}, which is not installed: pip install {name}.")
    accelerator = Accelerator(
        mixed_precision=config.precision,
        log_with=config.trackers or None,
        project_config=ProjectConfiguration(project_dir=str(folder), automatic_checkpoint_naming=False),
        # of a stage with several phases each phase leaves the others' parameters unused
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=len(stage.phases) > 1)],
    )
    check_supported(accelerator, stage)
    accumulation, micro = shares(config, accelerator.num_processes)
    if accumulation > 1 and len(stage.phases) > 1:
        raise InputError(
            f"Stage {stage.name} has two optimisers in turn and cannot accumulate gradients: use a smaller "
            "batch_size or more processes."
        )
    accelerator.gradient_accumulation_steps = accumulation
    return accelerator, micro


def check_supported(accelerator: Accelerator, stage: Stage) -> None:
    """Raise `InputError` for ways of accelerate to split a model that this loop does not support."""
    kind = accelerator.distributed_type
    if kind in OTHERS:
        raise InputError(f"{kind.value} is not supported: use DDP or FSDP.")
    if kind == DistributedType.FSDP and not accelerator.is_fsdp2:
        raise InputError("FSDP is supported in its second version alone: set fsdp_version: 2 in accelerate's file.")
    if kind == DistributedType.FSDP and len(stage.phases) > 1:
        raise InputError(f"Stage {stage.name} has two optimisers in turn, which FSDP is not tested with: use DDP.")


def unsharded_copy(stage: Stage, accelerator: Accelerator) -> Stage | None:
    """With FSDP: a copy of the stage on the CPU of the main process.

    A sharded part works only inside the forward pass of the whole stage, in all processes. Listening and exporting call
    single parts in one process.
    """
    if accelerator.distributed_type != DistributedType.FSDP or not accelerator.is_main_process:
        return None
    return copy.deepcopy(stage)


@contextmanager
def unsharded(bare: Stage, copied: Stage | None, accelerator: Accelerator) -> Iterator[Stage]:
    """A stage in evaluation mode whose parts can be called: the stage itself, or the copy with its weights."""
    if not isinstance(bare, FSDPModule):
        yield bare.eval()
        return
    weights = whole(bare.state_dict())
    if copied is None:
        yield bare
        return
    copied.load_state_dict(weights)
    yield copied.to(accelerator.device).eval()
    copied.to("cpu")


def shares(config: TrainConfig, processes: int) -> tuple[int, int]:
    """-> (accumulation steps, samples per process and forward pass); their product with `processes` is the batch.

    `micro_batch_size`: what fits into the memory of a device. Without it the accumulation steps are as configured.
    """
    batch, steps = config.batch_size, config.gradient_accumulation_steps
    if config.micro_batch_size:
        if batch % (processes * config.micro_batch_size):
            raise InputError(
                f"batch_size is {batch}; it must be a multiple of {processes * config.micro_batch_size} "
                f"({processes} processes × micro_batch_size {config.micro_batch_size})."
            )
        return batch // (processes * config.micro_batch_size), config.micro_batch_size
    if batch % (processes * steps):
        raise InputError(
            f"batch_size is {batch}; it must be a multiple of {processes * steps} (processes × accumulation)."
        )
    return steps, batch // (processes * steps)


def configure(stage: Stage, config: TrainConfig, accelerator: Accelerator) -> Stage:
    """Apply gradient checkpointing, compilation and synchronised batch norms as configured."""
    if config.gradient_checkpointing:
        able = [m for m in stage.children() if hasattr(m, "enable_gradient_checkpointing") and learns(m)]
        if not able:
            raise InputError(f"Stage {stage.name} has no part that knows gradient checkpointing.")
        for module in able:
            module.enable_gradient_checkpointing()
    if config.compile:
        for module in filter(learns, stage.children()):
            # an auto-encoder is used by its halves; compiled in place, names of the weights stay as they are
            for part in (module.encoder, module.decoder) if hasattr(module, "decoder") else (module,):
                part.compile()
    if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
        stage = torch.nn.SyncBatchNorm.convert_sync_batchnorm(stage)
    return stage


def learns(module: torch.nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


def make_optimizers(stage: Stage, config: TrainConfig) -> dict[str, torch.optim.Optimizer]:
    """AdamW for each phase, or bitsandbytes' with 8-bit moments (a quarter of the optimiser's memory)."""
    kind = partial(torch.optim.AdamW, fused=True)  # a third of the time on CPUs as well
    if config.optimizer == "adamw8bit":
        if find_spec("bitsandbytes") is None:
            raise InputError("optimizer is adamw8bit, which needs bitsandbytes: pip install bitsandbytes.")
        from bitsandbytes.optim import AdamW8bit as kind
    settings = {"lr": config.lr, "betas": (0.9, 0.99), "weight_decay": config.weight_decay}
    return {phase: kind(stage.phase_parameters(phase), **settings) for phase in stage.phases}


def agreed(accelerator: Accelerator, asked: bool, minutes: float) -> tuple[bool, float]:
    """Whether any process was asked to stop, and the mean time, so that all processes decide alike."""
    if accelerator.num_processes == 1:
        return asked, minutes
    values = torch.tensor([float(asked), minutes], device=accelerator.device)
    asked_sum, minutes_sum = accelerator.reduce(values, "sum").tolist()
    return asked_sum > 0, minutes_sum / accelerator.num_processes
