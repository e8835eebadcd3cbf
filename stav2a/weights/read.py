"""Reading foreign weight files without running anything in them."""

from __future__ import annotations

import logging
import pickle
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .errors import WeightsError, listed

log = logging.getLogger(__name__)

# Training frameworks leave their own objects beside the weights. They are replaced by an inert stand-in, so
# that nothing is imported and nothing runs; anything else than these and plain tensors is refused.
HARMLESS = ("pytorch_lightning.", "lightning.", "lightning_fabric.", "omegaconf.", "argparse.", "numpy.", "typing.")


class Inert:
    """Placeholder for objects that are not needed; accepts anything and does nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Inert:
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __hash__(self) -> int:
        return id(self)


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a .safetensors, .bin, .pt or .ckpt file by key, memory-mapped where the format allows it.

    A `state_dict` inside is unwrapped. Pickles are read with `weights_only=True`.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"There is no file {path}; run `python -m stav2a weights fetch`.")
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise WeightsError(f"{path} is empty; delete it and run `python -m stav2a weights fetch` again.")
    if head.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path} is a Git LFS pointer and not the file itself; fetch it with `git lfs pull`.")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds no state dict but a {type(content).__name__}; it is not a weight file.")
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{path} holds no tensors; it is not a weight file.")
    return tensors


def read_shapes(path: str | Path) -> dict[str, tuple[int, ...]]:
    """Shapes by key of a .safetensors file; only its header is read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 (no iterator)
    except (SafetensorError, ValueError, OSError) as error:
        raise _damaged(Path(path)) from error


def _read_safetensors(path: Path) -> dict:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise _damaged(path) from error


def _read_pickle(path: Path) -> object:
    foreign = _foreign_names(path)
    refused = [name for name in foreign if not name.startswith(HARMLESS)]
    if refused:
        raise WeightsError(
            f"{path} is not plain tensors, it asks for {listed(refused)}; it is not opened, since such a file can "
            "run code: use a .safetensors version of it."
        )
    stand_ins: list = [(type("Inert", (Inert,), {}), name) for name in foreign]
    try:
        with torch.serialization.safe_globals(stand_ins) if stand_ins else nullcontext():
            try:
                return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError as error:
                if "mmap can only be used" not in str(error):
                    raise
                return torch.load(path, map_location="cpu", weights_only=True)  # torch's format before 1.6
    except pickle.UnpicklingError as error:
        if "nsupported" in str(error) or "weights_only" in str(error).lower():
            raise WeightsError(
                f"{path} is not plain tensors and is not opened, since such a file can run code: use a "
                ".safetensors version of it."
            ) from error
        raise _damaged(path) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise _damaged(path) from error


def _foreign_names(path: Path) -> list[str]:
    """Globals in the pickle that torch does not know as safe, read without unpickling. Zip format only."""
    try:
        return torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (ValueError, RuntimeError, pickle.UnpicklingError, EOFError, OSError) as error:
        log.debug("%s: not torch's zip format, or damaged (%s); torch.load says which", path, error)
        return []


def _damaged(path: Path) -> WeightsError:
    return WeightsError(
        f"{path} ({path.stat().st_size:,} bytes) is truncated or damaged; delete it and run "
        "`python -m stav2a weights fetch` again."
    )
