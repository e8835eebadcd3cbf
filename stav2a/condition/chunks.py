"""Process long sequences in chunks, so that memory does not grow with their length."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def in_chunks(function: Callable[[Tensor], Tensor], x: Tensor, size: int, halo: int, scale: int) -> Tensor:
    """Apply `function` along the first axis in chunks of `size`, each with `halo` rows of context on both sides.

    `function` returns `scale` output rows per input row; the rows of the halo are dropped.
    """
    if len(x) <= size + 2 * halo:
        return function(x)
    parts = []
    for start in range(0, len(x), size):
        left = min(halo, start)
        part = function(x[start - left : start + size + halo])
        kept = min(size, len(x) - start)
        parts.append(part[left * scale : (left + kept) * scale])
    return torch.cat(parts)


def in_windows(
    function: Callable[[Tensor], Tensor], x: Tensor, size: int, halo: int, scale: int, most: int = 8
) -> Tensor:
    """As `in_chunks` for Tensor[T, B, ...], in windows of exactly `size` rows, side by side in batches of up to `most`.

    On a CPU a convolution is compiled anew for each shape, which takes longer than running it once, and the longer the
    wider. So clips of many lengths share few, narrow shapes. A sequence of up to `size` rows is passed whole.
    """
    if len(x) <= size:
        return function(x)
    kept = size - 2 * halo
    count = max(2, math.ceil((len(x) - 2 * halo) / kept))
    starts = [min(k * kept, len(x) - size) for k in range(count)]
    parts, done = [], 0
    for first in range(0, count, most):
        some = starts[first : first + most]
        batch = function(torch.cat([x[start : start + size] for start in some], 1))
        for start, part in zip(some, batch.split(x.shape[1], 1), strict=True):
            stop = len(x) if start + size == len(x) else start + size - halo
            parts.append(part[(done - start) * scale : (stop - start) * scale])
            done = stop
    return torch.cat(parts)
