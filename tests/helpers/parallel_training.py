"""What two processes run in tests: `torchrun --nproc_per_node 2 tests/helpers/parallel_training.py FOLDER SOURCE`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from stav2a.train.runtime import machine
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.loop import train
from stav2a.train.runtime.parts import trained
from stav2a.train.sources.clips import CachedClips
from stav2a.train.sources.features import ClipFeatures
from stav2a.train.stages.vae import VAEStage
from stav2a.train.stages.video import info_nce, unit


def settings(folder: str | Path, bank: str | Path, **changes) -> TrainConfig:
    base = {
        "model": "tiny", "parts": f"{folder}/parts", "out": f"{folder}/runs", "bank": str(bank), "steps": 3,
        "batch_size": 4, "warmup": 1, "log_every": 1, "validate_every": 3, "validation_batches": 1, "save_every": 3,
        "crop_s": 0.32,
    }  # fmt: skip
    return TrainConfig.checked({**base, **changes})


def train_vae(folder: str | Path, bank: str | Path, **changes) -> None:
    config = settings(folder, bank, **changes)
    torch.manual_seed(0)
    train(VAEStage(config), config)


def split_weights(module) -> None:
    """Let accelerate take two CPU processes for its FSDP, which its own configuration offers to devices alone."""
    from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin

    class Split(Accelerator):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.state.distributed_type = DistributedType.FSDP
            self.state.fsdp_plugin = FullyShardedDataParallelPlugin(
                fsdp_version=2,
                auto_wrap_policy="transformer_based_wrap",
                transformer_cls_names_to_wrap=["ResnetBlock2D"],
                cpu_ram_efficient_loading=False,
            )

    module.Accelerator = Split


def see_clips(folder: str | Path, cache: str | Path) -> ClipFeatures:
    """Features of a cache's clips by parts in `folder`."""
    parts = [trained(folder, name).eval() for name in ("video_encoder", "local_features")]
    return ClipFeatures(CachedClips(cache, 0.64, seed=0), *parts)


def contrast(rank: int, processes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and gradient of the semantic contrast over a batch of eight, of which this process has its share."""
    generator = torch.Generator().manual_seed(0)
    pictures, sounds = torch.randn(2, 8, 6, generator=generator)
    weight = torch.randn(6, 5, generator=generator, requires_grad=True)
    own = slice(rank * 8 // processes, (rank + 1) * 8 // processes)
    loss, _ = info_nce(unit(pictures[own] @ weight)[None], unit(sounds[own] @ weight)[None], torch.tensor(5.0), True)
    loss.backward()
    return loss.detach(), weight.grad


def in_two_processes(folder: str | Path, source: str | Path, *words: str) -> None:
    """Run this file so; `source` is the bank, or the cache of rendered clips for `features`."""
    # `accelerate launch --cpu` would want an MPI; for GPUs it calls this very launcher
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [__file__, str(folder), str(source), *words]
    paths = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parent)])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def leave() -> None:
    """Together: a process that goes first takes the connections away from under the other."""
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    if "features" in sys.argv[3:]:
        see_clips(*sys.argv[1:3])
        leave()
        sys.exit()
    if "fsdp" in sys.argv[3:]:
        split_weights(machine)
        changes = dict(word.split("=") for word in sys.argv[4:])
        train_vae(*sys.argv[1:3], **{name: int(value) for name, value in changes.items()})
        leave()
        sys.exit()
    train_vae(*sys.argv[1:3])
    rank, processes = torch.distributed.get_rank(), torch.distributed.get_world_size()
    mean = torch.cat([value.flatten() for value in contrast(rank, processes)]) / processes
    torch.distributed.all_reduce(mean)  # the mean over processes, as DDP takes it of gradients
    if rank == 0:
        torch.save(mean, Path(sys.argv[1]) / "contrast.pt")
    leave()
