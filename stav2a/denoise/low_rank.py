"""Changes of weights at low rank, trained as two factors (LoRA, Hu et al. 2022); `weights.stored` stores them so."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """W -> W + up · down: Tensor of any shape, its first axis the outputs. `up` begins at zero: nothing changes."""

    def __init__(self, weight: Tensor, rank: int):
        super().__init__()
        outputs, inputs = len(weight), weight[0].numel()
        self.up = nn.Parameter(torch.zeros(outputs, rank))
        self.down = nn.Parameter(torch.randn(rank, inputs) / inputs**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.up @ self.down).view_as(weight).to(weight.dtype)


def learn_low_rank(module: nn.Module, rank: int) -> None:
    """Every matrix and kernel whose two factors are smaller rests and learns a change of this rank.

    What is not a matrix learns whole, as do matrices that the factors would not make smaller.
    """
    for part in list(module.modules()):
        weight = getattr(part, "weight", None)
        if isinstance(weight, nn.Parameter) and weight.ndim >= 2 and _pays(weight, rank):
            weight.requires_grad_(False)
            parametrize.register_parametrization(part, "weight", LowRank(weight, rank))


def merged(module: nn.Module) -> dict[str, Tensor]:
    """The state of a module with its changes added to the weights, under the names that it had without them."""
    state = {name: tensor.detach() for name, tensor in module.state_dict().items()}
    for place, part in module.named_modules():
        if parametrize.is_parametrized(part, "weight"):
            inside = f"{place}.parametrizations.weight."
            state = {name: tensor for name, tensor in state.items() if not name.startswith(inside)}
            state[f"{place}.weight"] = part.weight.detach()
    return state


def _pays(weight: Tensor, rank: int) -> bool:
    return rank * (len(weight) + weight[0].numel()) < weight.numel()
