"""Process long sequences in chunks, so that memory does not grow with their length."""

from __future__ import annotations

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
