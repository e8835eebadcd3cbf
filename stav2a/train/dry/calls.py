"""What a stage asks of its networks: every outermost call, by the shapes of what goes in and comes out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from stav2a.systems.base import System


@dataclass(frozen=True)
class Made:
    """A tensor that an earlier call made: leaf `leaf` of what call `call` returned."""

    call: int
    leaf: int


@dataclass(frozen=True)
class Call:
    """`args` and `kwargs` hold tensors without memory (meta device), or `Made` ones; `out`: shapes that came back."""

    name: str
    args: tuple
    kwargs: dict
    out: tuple[tuple[int, ...], ...]
    learns: bool  # whether gradients were on


@dataclass
class Calls:
    """Calls of a stage's submodules in its first forward pass of each phase, in order.

    `batch`: shapes of the tensors of the first batch, by name; `where`: the modules that are at work, the outermost
    first.
    """

    made: list[Call] = field(default_factory=list)
    batch: dict[str, tuple[int, ...]] = field(default_factory=dict)
    where: list[str] = field(default_factory=list)
    _phases: list[str] = field(default_factory=list)
    _writes: bool = False
    _origins: dict[int, Made] = field(default_factory=dict)
    _alive: list[Any] = field(default_factory=list)  # so that no other tensor gets the identity of one of these
    _given: tuple[tuple, dict] = ((), {})

    @property
    def samples(self) -> int:
        """In the first batch."""
        return next(iter(self.batch.values()))[0]

    @contextmanager
    def of(self, stage: nn.Module) -> Iterator[Calls]:
        """Inside, calls are written down. Systems are looked into: what they take and give is no tensor."""
        hooks = [stage.register_forward_pre_hook(self._begins), stage.register_forward_hook(self._ends)]
        for name, module in stage.named_modules():
            if name and not isinstance(module, System):
                hooks.append(module.register_forward_pre_hook(self._enters(name), with_kwargs=True))
                hooks.append(module.register_forward_hook(self._leaves(name), with_kwargs=True))
        try:
            yield self
        finally:
            for hook in hooks:
                hook.remove()
            self._origins.clear()
            self._alive.clear()

    def _begins(self, stage: nn.Module, args: tuple) -> None:
        batch, phase = args
        self._writes = phase not in self._phases
        self._phases.append(phase)
        shapes = {name: tuple(value.shape) for name, value in batch.items() if isinstance(value, Tensor)}
        self.batch = self.batch or {name: shape for name, shape in shapes.items() if name != "index"}

    def _ends(self, *_: Any) -> None:
        self._writes = False

    def _enters(self, name: str):
        def hook(module, args, kwargs) -> None:
            if not self.where and self._writes:
                self._given = tree_map(self._blank, (args, dict(kwargs)))
            self.where.append(name)

        return hook

    def _leaves(self, name: str):
        def hook(module, args, kwargs, out) -> None:
            self.where.pop()
            if self.where or not self._writes:
                return
            leaves = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
            shapes = tuple(tuple(leaf.shape) for leaf in leaves)
            self.made.append(Call(name, *self._given, shapes, torch.is_grad_enabled()))
            for number, leaf in enumerate(leaves):
                self._origins[id(leaf)] = Made(len(self.made) - 1, number)
            self._alive.append(leaves)

        return hook

    def _blank(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if id(value) in self._origins:
            return self._origins[id(value)]
        return torch.empty_like(value, device="meta", requires_grad=value.requires_grad)
