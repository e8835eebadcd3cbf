"""`Stage`, the base class of training stages: modules, samples by index, and losses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.options import read_options

GOLDEN = (5**0.5 - 1) / 2


def seed_of(*words: object) -> int:
    """A 63-bit seed derived from `words`, the same on every machine and in every process."""
    digest = hashlib.blake2b("/".join(map(str, words)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def noise_for(indices: Iterable[int], shape: tuple[int, ...], seed: int, what: str) -> Tensor:
    """Standard normal noise [B, *shape], a function of each sample's index alone.

    Randomness that follows the sample, not the process or the step, makes an interrupted run equal an
    uninterrupted one and a run on many processes equal a run on one.
    """
    rows = [
        torch.randn(shape, generator=torch.Generator().manual_seed(seed_of(seed, what, int(index))))
        for index in indices
    ]
    return torch.stack(rows)


def uniform_for(indices: Iterable[int], seed: int, what: str, count: int = 1) -> Tensor:
    """Uniform numbers [B, count] in [0, 1), a function of each sample's index alone."""
    rows = [
        torch.rand(count, generator=torch.Generator().manual_seed(seed_of(seed, what, int(index)))) for index in indices
    ]
    return torch.stack(rows)


def spread_for(indices: Iterable[int], seed: int, what: str) -> Tensor:
    """Numbers [B] in [0, 1) of a low-discrepancy sequence, R_1 (Roberts 2018), a function of each sample's index.

    A batch covers [0, 1) more evenly than with independent draws, so its mean loss varies less (low-discrepancy
    timesteps, Kingma et al. 2021, appendix I.1).
    """
    start = float(uniform_for([-1], seed, what))
    return torch.tensor([(start + int(index) * GOLDEN) % 1 for index in indices], dtype=torch.float64)


class Stage(nn.Module):
    """One stage of the training. Its trained modules are submodules named as the parts they become.

    A subclass implements `sample`, `forward` and `export`. A split has no end, and its sample `i` is always the same.
    """

    name: str
    phases: tuple[str, ...] = ("main",)  # an optimiser each; the vocoder has two
    Options: type  # a dataclass of what this stage alone is set by

    def __init__(self, config: TrainConfig):
        super().__init__()
        self.config = config
        self.options = read_options(self.Options, config.options, f"Stage {self.name}", self.others_options())
        self.frozen: list[nn.Module] = []

    def others_options(self) -> tuple[type, ...]:
        """Dataclasses of further options that the configuration may have."""
        return ()

    def freeze(self, module: nn.Module) -> nn.Module:
        """Keep a module in evaluation mode and out of the training; returns it."""
        self.frozen.append(module.requires_grad_(False).eval())
        return module

    def train(self, mode: bool = True) -> Stage:
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def sample(self, split: str, index: int) -> dict:
        """One training example (tensors and strings), without a batch axis; the loop adds its `index`."""
        raise NotImplementedError

    def forward(self, batch: dict[str, Tensor], phase: str = "main") -> dict[str, Tensor]:
        """Losses of a batch, scalars; the one named `loss` is minimised."""
        raise NotImplementedError

    def phase_parameters(self, phase: str) -> list[nn.Parameter]:
        return [p for p in self.parameters() if p.requires_grad]

    def cost(self, measures: dict[str, float]) -> float:
        """The value that `keep_best` minimises, from a validation's losses and the measures of `listen`."""
        return measures["loss"]

    def export(self, folder: Path) -> None:
        """Write the trained parts into a checkpoint folder, a subfolder each."""
        raise NotImplementedError

    def listen(self, folder: Path) -> dict[str, float]:
        """Write figures and audio of a validation; return measures to log."""
        return {}
