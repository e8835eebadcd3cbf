"""Average the weights of several trainings, which is often better than each (model soups, Wortsman et al. 2022).

The trainings must start from the same weights or continue one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from stav2a.models.build import CLASSES, OPTIONAL
from stav2a.train.runtime.parts import trained


@dataclass
class AverageOptions:
    of: list = field(default_factory=list)  # folders of parts
    names: list = field(default_factory=list)  # the parts to average


def average(folders: Sequence[str | Path], names: Sequence[str], out: str | Path) -> list[Path]:
    """Write the mean of each part of `names` over the folders of parts into `out`; -> the parts' folders.

    `ValueError` for fewer than two folders, an unknown part, or parts of different shapes.
    """
    if len(folders) < 2 or not names:
        raise ValueError("options.of needs two or more folders of parts, options.names the parts to average.")
    known = {*CLASSES, *OPTIONAL}
    if unknown := set(names) - known:
        raise ValueError(f"There is no part {sorted(unknown)}; parts are {sorted(known)}.")
    written = []
    for name in names:
        parts = [trained(folder, name) for folder in folders]
        states = [part.state_dict() for part in parts]
        shapes = [{key: tuple(value.shape) for key, value in state.items()} for state in states]
        if any(other != shapes[0] for other in shapes):
            raise ValueError(f"{name} has not the same shapes in {', '.join(map(str, folders))}.")
        parts[0].load_state_dict({key: _mean([state[key] for state in states]) for key in states[0]})
        written.append(Path(out) / name)
        parts[0].save_pretrained(written[-1])
    return written


def _mean(values: list[torch.Tensor]) -> torch.Tensor:
    """The mean in double precision. Counters, such as those of batch norms, stay integers."""
    mean = torch.stack([value.double() for value in values]).mean(0)
    return (mean if values[0].is_floating_point() else mean.round()).to(values[0].dtype)
