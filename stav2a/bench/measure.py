"""Seconds, floating-point operations and memory of a piece of work, and the machine's own matrix rate."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode


def attention_flop(query, key, value, *args, out_shape=None, **kwargs) -> int:
    """Of softmax(QK')V: two matrix products. Shapes [B, H, L, D] and [B, H, S, D], as the counter passes them."""
    batch, heads, length, depth = query
    return 2 * batch * heads * length * key[2] * (depth + value[3])


# torch's counter knows the attention of GPUs alone
COUNTED = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention_flop}


@dataclass(frozen=True)
class Cost:
    """seconds: the median run; gflop: of one run."""

    seconds: float
    gflop: float | None = None

    @property
    def gflop_per_s(self) -> float | None:
        return None if self.gflop is None else self.gflop / self.seconds


def synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def cost(work: Callable[[], object], device: str = "cpu", runs: int = 3, count: bool = True) -> Cost:
    """The median of `runs` after one that is not timed; operations are counted in that first one.

    The counter sees matrix products, convolutions and attention, which is where all but a few operations are.
    """
    gflop = None
    if count:
        counter = FlopCounterMode(display=False, custom_mapping=COUNTED)
        with counter:
            work()
        gflop = counter.get_total_flops() / 1e9
    else:
        work()
    seconds = []
    for _ in range(runs):
        synchronise(device)
        start = time.perf_counter()
        work()
        synchronise(device)
        seconds.append(time.perf_counter() - start)
    return Cost(sorted(seconds)[len(seconds) // 2], gflop)


@torch.no_grad()
def matrix_rate(device: str, dtype: torch.dtype, size: int | None = None) -> float:
    """GFLOP/s of large square matrix products: what this machine gives at best."""
    size = size or (8192 if device.startswith("cuda") else 1024)
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best = min(cost(lambda: a @ b, device, runs=1, count=False).seconds for _ in range(5))
    return 2 * size**3 / best / 1e9


def resident_mb() -> float:
    """Memory of this process that is in RAM, MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def peak_memory(device: str = "cpu"):
    """Yields a dict that holds `mb` at the end: the most memory in use at any time, watched every 20 ms.

    On CPU the whole process, interpreter and libraries included; on CUDA what torch had allocated.
    """
    found = {"mb": float("nan")}
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        yield found
        found["mb"] = torch.cuda.max_memory_allocated() / 1e6
        return
    if not sys.platform.startswith("linux"):
        yield found
        return
    stop, most = threading.Event(), [resident_mb()]

    def watch() -> None:
        while not stop.wait(0.02):
            most[0] = max(most[0], resident_mb())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        stop.set()
        watcher.join()
        found["mb"] = max(most[0], resident_mb())
