"""Changes of weights at low rank: silent at first, merged exactly."""

from __future__ import annotations

import torch
from torch import nn

from stav2a.denoise.low_rank import learn_low_rank, merged


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.Conv2d(16, 8, 3), nn.Conv2d(8, 2, 1))


def trained(rank: int = 2) -> tuple[nn.Module, dict, torch.Tensor]:
    """A network after a few steps of training at low rank, its weights before them, and an input."""
    module = network()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    seen = torch.randn(2, 8, 6, 6, generator=torch.Generator().manual_seed(1))
    plain = module(seen)
    learn_low_rank(module, rank)
    assert torch.equal(module(seen), plain)  # nothing has changed yet
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        module(seen).square().mean().backward()
        optimizer.step()
    return module, before, seen


def test_only_the_factors_and_what_is_small_learn():
    module, before, _ = trained()
    originals = {name: p for name, p in module.named_parameters() if name.endswith("original")}
    assert set(originals) == {f"{k}.parametrizations.weight.original" for k in (0, 2)}
    for name, weight in originals.items():
        assert not weight.requires_grad and torch.equal(weight, before[name.split(".")[0] + ".weight"])
    assert not torch.equal(module[1].weight, before["1.weight"])  # a norm learns whole,
    assert not torch.equal(module[3].weight, before["3.weight"])  # as does a matrix smaller than its factors


def test_merging_keeps_what_the_network_says():
    module, before, seen = trained()
    plain = network()
    for _ in range(2):  # merging leaves the network unchanged
        state = merged(module)
        assert state.keys() == before.keys()
        plain.load_state_dict(state)
        torch.testing.assert_close(plain(seen), module(seen))
