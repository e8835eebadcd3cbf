"""Sharded weights (FSDP, configured by accelerate), and gathering them for files and listening.

With FSDP a parameter, its gradient, its moments and its average are each a `DTensor`, of which a process holds
its part. Checkpoints hold whole tensors, so that a run goes on with any number of processes, with FSDP or
without. Every function here is called by all processes at the same moment: they exchange their parts.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(value):
    """`value` with every sharded tensor gathered; others are unchanged."""
    if isinstance(value, DTensor):
        return value.full_tensor()
    if isinstance(value, Mapping):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(whole(item) for item in value)
    return value


def parted(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor on the device of `like`, sharded in the same way."""
    if isinstance(like, DTensor):
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
    return value.to(like.device)


def load_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load whole weights into a module that may be sharded. Missing weights are kept."""
    state = module.state_dict()
    module.load_state_dict({name: parted(value, state[name]) for name, value in weights.items()}, strict=False)


def load_optimizer(optimizer: torch.optim.Optimizer, values: dict) -> None:
    """Load a whole state into an optimiser whose parameters may be sharded."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state = {
        number: {
            name: parted(value, parameters[number])
            if isinstance(value, Tensor) and value.shape == parameters[number].shape and value.ndim
            else value
            for name, value in moments.items()
        }
        for number, moments in values["state"].items()
    }
    optimizer.load_state_dict({**values, "state": state})
