"""Golden numbers of the authors' code: the rule that makes weights and inputs, and the comparison."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file


def rule_tensor(key: str, shape) -> torch.Tensor:
    """The weight that the rule gives this state-dict key (prefix included)."""
    generator = torch.Generator().manual_seed(zlib.crc32(key.encode()) & 0x7FFFFFFF)
    w = torch.randn(tuple(shape), generator=generator, dtype=torch.float32)
    if key.endswith("running_var"):
        return 1 + 0.1 * w.abs()
    if key.endswith("running_mean"):
        return 0.1 * w
    if w.ndim == 1:
        return 1 + 0.1 * w if key.endswith(".weight") else 0.02 * w
    return w / float(np.prod(w.shape[1:])) ** 0.5


def rule_state(shapes: dict, prefix: str = "") -> dict[str, torch.Tensor]:
    """State dict by the rule for {name: shape}; what the rule leaves alone (counters, scalars) is zero."""
    return {
        name: torch.zeros((), dtype=torch.long if name.endswith("num_batches_tracked") else torch.float32)
        if len(shape) == 0
        else rule_tensor(prefix + name, shape)
        for name, shape in shapes.items()
    }


def fill(module: torch.nn.Module, prefix: str = "", rename=lambda name: name) -> torch.nn.Module:
    """Weights by the rule, in evaluation mode; `rename` gives the authors' name of one of our entries."""
    for name, value in module.state_dict().items():
        if value.ndim and value.is_floating_point():
            value.copy_(rule_tensor(prefix + rename(name), value.shape))
    return module.eval()


def randn(spec: dict) -> torch.Tensor:
    """An input that the manifest gives by shape and seed."""
    return torch.randn(spec["shape"], generator=torch.Generator().manual_seed(spec["seed"]))


class Golden:
    """One case of the manifest: its facts, its stored tensors, and `check`."""

    parity: list[tuple[str, str, float, str]] = []  # (case, tensor, largest error, tolerance) of every check

    def __init__(self, folder: Path, case: str):
        self.case = case
        self.facts = json.loads((folder / "manifest.json").read_text())["cases"][case]
        self.tensors = load_file(folder / self.facts["file"])

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.tensors[name]

    def check(self, name: str, value: torch.Tensor) -> float:
        """Assert that `value` is the stored tensor within the case's tolerance; returns the largest error."""
        limits = self.facts["tolerance"]
        limit = limits.get(name, limits.get("*"))
        expected = self.tensors[name]
        assert value.shape == expected.shape, f"{name}: {tuple(value.shape)} != {tuple(expected.shape)}"
        error = (value.double() - expected.double()).abs().max().item()
        self.parity.append((self.case, name, error, str(limit)))
        close = torch.testing.assert_close
        close(value.float(), expected.float(), msg=lambda text: f"{name}: {text}", **limit)
        return error
