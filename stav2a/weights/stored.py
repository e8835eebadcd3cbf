"""Parts as they are stored: in fp16 without overflow, and as differences to a base in two factors.

Such a difference is `base + out @ in`, as in LoRA (Hu et al. 2022). A tensor `layer.weight` [O, ...] of rank r is then
`layer.weight.low_rank_out` [O, r] and `layer.weight.low_rank_in` [r, I], with I the product of the other axes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import TypeVar

import torch
from diffusers.configuration_utils import ConfigMixin
from torch import Tensor, nn

from stav2a.condition.cavp import TemporalBlock

from .errors import WeightsError
from .shapes import Shapes, shapes_of

Part = TypeVar("Part", bound=nn.Module)
OUT, IN = ".low_rank_out", ".low_rank_in"


def folded(part: Part) -> Part:
    """An equivalent copy whose variances fit fp16's range, and whose configuration names no folder of this machine."""
    part = copy.deepcopy(part)
    if isinstance(part, ConfigMixin):
        part.register_to_config(_name_or_path="")
    for module in part.modules():
        if isinstance(module, TemporalBlock):
            module.fold()
    return part


def halved(part: Part, name: str) -> Part:
    """A folded copy in fp16; `ValueError` names a value that it would lose."""
    part = folded(part).half()
    finite(part.state_dict(), name)
    return part


def finite(tensors: Mapping[str, Tensor], name: str) -> Mapping[str, Tensor]:
    """The tensors of a part as they are; `ValueError` names one that fp16 has lost."""
    if lost := [key for key, value in tensors.items() if not value.isfinite().all()]:
        raise ValueError(f"The part {name} cannot be stored in fp16: {lost[0]} is not finite there.")
    return tensors


def reduced(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """`own`, with two factors instead of each tensor of `theirs` where these are smaller.

    share: of the difference's squared norm that the rank keeps, below 1
    """
    found = {}
    for name, tensor in own.items():
        base = theirs.get(name)
        if base is None or base.shape != tensor.shape or tensor.ndim < 2:
            found[name] = tensor
            continue
        left, scales, right = torch.linalg.svd((tensor.float() - base.float()).flatten(1), full_matrices=False)
        kept = scales.double().square().cumsum(0)
        rank = int((kept < share * kept[-1]).sum()) + 1
        if rank * (left.shape[0] + right.shape[1]) >= tensor.numel():
            found[name] = tensor
            continue
        root = scales[:rank].sqrt()
        found[name + OUT] = (left[:, :rank] * root).to(tensor.dtype).contiguous()
        found[name + IN] = (root[:, None] * right[:rank]).to(tensor.dtype).contiguous()
    return found


def restored(stored: Mapping[str, Tensor], theirs: Mapping[str, Tensor], file: object) -> dict[str, Tensor]:
    """The tensors that `reduced` was given, with those of the base; `WeightsError` names a difference to nothing."""
    names = differing(shapes_of(stored), shapes_of(theirs), file)
    found = {name: tensor for name, tensor in stored.items() if not name.endswith((OUT, IN))}
    for name in names:
        difference = stored[name + OUT].float() @ stored[name + IN].float()
        found[name] = theirs[name].float() + difference.reshape(theirs[name].shape)
    return found


def restored_shapes(stored: Shapes, theirs: Shapes, file: object) -> dict[str, tuple[int, ...]]:
    """What `restored` gives, of headers alone."""
    names = differing(stored, theirs, file)
    plain = {name: tuple(shape) for name, shape in stored.items() if not name.endswith((OUT, IN))}
    return plain | {name: tuple(theirs[name]) for name in names}


def differing(stored: Shapes, theirs: Shapes, file: object) -> list[str]:
    """Names of the tensors that are stored in two factors; `WeightsError` where these do not fit the base's."""
    names = sorted({name.removesuffix(OUT).removesuffix(IN) for name in stored if name.endswith((OUT, IN))})
    for name in names:
        out, inner, base = stored.get(name + OUT, ()), stored.get(name + IN, ()), theirs.get(name, ())
        rank = out[-1:]
        if not base or (*out, *inner) != (base[0], *rank, *rank, math.prod(base[1:])):
            raise WeightsError(f"{file}: the difference of {name} fits no tensor of the base; fetch the model again.")
    return names
