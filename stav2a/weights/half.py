"""Parts as they are stored, in fp16 without overflow."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

from stav2a.condition.cavp import TemporalBlock

Part = TypeVar("Part", bound=nn.Module)


def folded(part: Part) -> Part:
    """An equivalent copy whose variances fit fp16's range."""
    part = copy.deepcopy(part)
    for module in part.modules():
        if isinstance(module, TemporalBlock):
            module.fold()
    return part


def halved(part: Part, name: str) -> Part:
    """A folded copy in fp16; `ValueError` names a value that it would lose."""
    part = folded(part).half()
    lost = [key for key, value in part.state_dict().items() if not value.isfinite().all()]
    if lost:
        raise ValueError(f"The part {name} cannot be stored in fp16: {lost[0]} is not finite there.")
    return part
