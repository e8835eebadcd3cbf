"""Digests of weights: features of one network are never used with another."""

from __future__ import annotations

import hashlib

from torch import nn


def digest(*modules: nn.Module) -> str:
    """Twelve hexadecimal digits of the modules' weights."""
    total = hashlib.sha256()
    for module in modules:
        for name, value in sorted(module.state_dict().items()):
            total.update(name.encode())
            total.update(value.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:12]
