"""What making sound costs on other devices, by calculation: `python -m stav2a.bench.roofline [paper|compact]`.

The networks run once without memory (`weightless.py`). Each operation takes as long as its arithmetic at the device's
peak or as the bytes it reads and writes at the memory's bandwidth, whichever is longer (Williams et al. 2009). "Alone"
pays the bytes of every operation, as PyTorch does without a compiler; "fused" those of matrix products, convolutions
and attention only, which is what a compiler can reach at best. Launches cost nothing here, as in a CUDA graph.
"""

from __future__ import annotations

import argparse
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from stav2a.denoise.sample import Guidance, predict
from stav2a.models.weightless import conditions, latents, mt5_large_encoder, networks
from stav2a.presets import TIMELINES
from stav2a.sound import vae as mel_vae

DEVICES = {  # dense FLOP/s in 16 bits and bytes/s, by their makers
    "T4": (65e12, 0.32e12),
    "RTX 4090": (165e12, 1.01e12),
    "A100 80 GB": (312e12, 2.04e12),
    "H200": (990e12, 4.8e12),
}


@dataclass
class Work:
    """(FLOP, bytes read and written) of each operation, and the most bytes alive at once, weights left out."""

    operations: list[tuple[float, float]] = field(default_factory=list)
    peak_bytes: int = 0

    @property
    def flop(self) -> float:
        return sum(flop for flop, _ in self.operations)

    def seconds(self, rate: float, bandwidth: float, fused: bool = False) -> float:
        """On a device of `rate` FLOP/s and `bandwidth` bytes/s."""
        paid = [(flop, 0 if fused and not flop else moved) for flop, moved in self.operations]
        return sum(max(flop / rate, moved / bandwidth) for flop, moved in paid)


def work_of(run: Callable[[], object]) -> Work:
    """What `run` does, on tensors of the meta device."""
    work = Work()
    operations = _Operations(work)
    with torch.no_grad(), _FusedAttention(operations), operations:
        run()
    return work


class _Operations(TorchDispatchMode):
    """Writes down every operation but views, and follows which storages are alive."""

    def __init__(self, work: Work):
        super().__init__()
        self.work, self.paused = work, False
        self.formulas = FlopCounterMode(display=False).flop_registry
        self.owners: dict[int, int] = {}
        self.alive = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        formula = self.formulas.get(operation._overloadpacket)
        if not self.paused and not operation.is_view:
            flop = formula(*args, **(kwargs or {}), out_val=result) if formula else 0
            self.work.operations.append((flop, size_of([args, kwargs, result])))
        given = {tensor.untyped_storage()._cdata for tensor in _tensors([args, kwargs])}
        for tensor in _tensors(result):
            self.follow(tensor, given)
        return result

    def follow(self, tensor: Tensor, given: set[int]) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self.owners:
            if key in given:  # a view of what was there before
                return
            self.owners[key] = 0
            self.alive += size
            if not self.paused:
                self.work.peak_bytes = max(self.work.peak_bytes, self.alive)
        self.owners[key] += 1
        weakref.finalize(tensor, self.left, key, size)

    def left(self, key: int, size: int) -> None:
        self.owners[key] -= 1
        if not self.owners[key]:
            del self.owners[key]
            self.alive -= size


class _FusedAttention(TorchFunctionMode):
    """Counts attention as the one operation it is on a GPU: the meta device would write its square of scores."""

    def __init__(self, operations: _Operations):
        super().__init__()
        self.operations = operations

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is not functional.scaled_dot_product_attention:
            return function(*args, **(kwargs or {}))
        self.operations.paused = True
        result = function(*args, **(kwargs or {}))
        self.operations.paused = False
        query, key, value = args[:3]
        flop = 2 * query.numel() * key.shape[-2] + 2 * result.numel() * key.shape[-2]
        self.operations.work.operations.append((flop, size_of([query, key, value, result])))
        return result


def _tensors(values) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def size_of(values) -> int:
    """Bytes of all tensors in nested `values`."""
    return sum(tensor.numel() * tensor.element_size() for tensor in _tensors(values))


def clip_work(model: str, batch: int, dtype: torch.dtype = torch.bfloat16) -> tuple[dict[str, Work], int]:
    """Work of a guided step, of the VAE and of the vocoder for `batch` clips as long as a window; bytes of weights."""
    timeline, parts = TIMELINES[model], networks(model, dtype)
    steps = timeline.latent_frames
    both = conditions(model, 2 * batch, steps, parts["controlnet"].config.conditioning_channels, dtype)
    noisy, clean = latents(model, 2 * batch, steps, dtype), latents(model, batch, steps, dtype)
    mel = torch.empty(batch, steps * timeline.mel_per_latent, timeline.mel_bins, device="meta", dtype=dtype)
    at = torch.zeros(2 * batch, dtype=torch.long, device="meta")
    works = {
        "guided step": work_of(lambda: predict(parts["unet"], parts["controlnet"], noisy, at, both, Guidance())),
        "VAE": work_of(lambda: mel_vae.decode(parts["vae"], clean)),
        "vocoder": work_of(lambda: parts["vocoder"](mel)),
    }
    return works, sum(size_of(list(part.parameters())) for part in parts.values())


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m stav2a.bench.roofline", description="Time by calculation.")
    parser.add_argument("model", nargs="?", default="paper", choices=("paper", "compact", "tiny"))
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16], help="clips at once")
    parser.add_argument("--steps", type=int, nargs="+", default=[25, 200], help="denoising steps, each with guidance")
    args = parser.parse_args(words)
    for batch in args.batch:
        works, weights = clip_work(args.model, batch)
        peak = max(work.peak_bytes for work in works.values())
        print(f"\n{args.model}, bf16, {batch} clips of {TIMELINES[args.model].window_s:g} s at once; weights ", end="")
        print(f"{weights / 1e9:.2f} GB, with the largest state {(weights + peak) / 1e9:.2f} GB", end="")
        if args.model == "paper":
            print(f"; its text encoder, at work before the rest, {mt5_large_bytes() / 1e9:.2f} GB", end="")
        print("\n\n| network | GFLOP a clip | GB alive |\n| --- | ---: | ---: |")
        for name, work in works.items():
            print(f"| {name} | {work.flop / batch / 1e9:.1f} | {work.peak_bytes / 1e9:.2f} |")
        ends = "".join(f" {count} steps, s a clip |" for count in args.steps)
        print(f"\n| device | guided step, ms | share of peak |{ends}")
        print("| --- |" + " ---: |" * (2 + len(args.steps)))
        for name, device in DEVICES.items():
            print(f"| {name} | {' | '.join(cells(works, batch, args.steps, *device))} |")


def cells(works: dict[str, Work], batch: int, counts: list[int], rate: float, bandwidth: float) -> list[str]:
    """A device's row: each operation alone – fused."""
    step = works["guided step"]
    seconds = [step.seconds(rate, bandwidth, fused) for fused in (False, True)]
    rest = [sum(works[name].seconds(rate, bandwidth, fused) for name in ("VAE", "vocoder")) for fused in (False, True)]
    found = [" – ".join(f"{1000 * s:.1f}" for s in seconds), " – ".join(f"{step.flop / rate / s:.0%}" for s in seconds)]
    for count in counts:
        found.append(" – ".join(f"{(count * s + r) / batch:.3f}" for s, r in zip(seconds, rest, strict=True)))
    return found


def mt5_large_bytes(dtype: torch.dtype = torch.bfloat16) -> int:
    with torch.device("meta"):
        return size_of(list(nn.Module.to(mt5_large_encoder(), dtype).parameters()))


if __name__ == "__main__":
    main()
