"""Strict loading of one part: every key, every shape, nothing left over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from .errors import WeightsError, listed
from .shapes import Shapes, shapes_of

Part = TypeVar("Part", bound=nn.Module)


def load_strict(
    build: Callable[[], Part],
    state: Mapping[str, Tensor],
    part: str,
    file: str | Path,
    dtype: torch.dtype | None = None,
) -> Part:
    """The part with these weights, in evaluation mode, or a `WeightsError` that names what does not fit.

    The module is built without memory of its own and takes the tensors as they are, so that a memory-mapped
    file is neither copied nor initialised twice. `dtype` converts the floating-point ones.
    """
    with torch.device("meta"):
        module = build()
    check_keys(shapes_of(module.state_dict()), shapes_of(state), part, file)
    if dtype is not None:
        state = {key: value.to(dtype) if value.is_floating_point() else value for key, value in state.items()}
    module.load_state_dict(state, strict=True, assign=True)
    if hasattr(module, "tie_weights"):
        cast(Callable, module.tie_weights)()
    left = [name for name, value in _tensors(module) if value.is_meta]
    assert not left, f"{part}: {left}"
    return module.eval().requires_grad_(False)


def check_keys(wanted: Shapes, given: Shapes, part: str, file: str | Path) -> None:
    """Compare names and shapes; one sentence tells all three kinds of difference."""
    missing = wanted.keys() - given.keys()
    unexpected = given.keys() - wanted.keys()
    reshaped = [
        f"{key} {list(given[key])} instead of {list(wanted[key])}"
        for key in wanted.keys() & given.keys()
        if given[key] != wanted[key]
    ]
    troubles = []
    if missing:
        troubles.append(f"{len(missing)} missing ({listed(missing)})")
    if unexpected:
        troubles.append(f"{len(unexpected)} unexpected ({listed(unexpected)})")
    if reshaped:
        troubles.append(f"{len(reshaped)} of the wrong shape ({listed(reshaped, 2)})")
    if troubles:
        raise WeightsError(
            f"The weights of {part} in {file} do not fit, keys: {'; '.join(troubles)}. Check that the file is the "
            "one of this model, or fetch it again with `python -m stav2a weights fetch`."
        )


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()
