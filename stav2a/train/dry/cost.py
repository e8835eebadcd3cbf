"""What a training step costs at full size, by calculation.

The calls that a narrow stage made (`calls.py`) are made again on the full networks without memory (PyTorch's
meta device), forwards and backwards. Multiplications and additions are counted as they would be done, and the
activations that the backward pass needs as they would be kept. Times follow from a device's rate, of which 30 % is
assumed to be reached.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import FlopCounterMode

from stav2a.train.registry import make_stage
from stav2a.train.runtime.config import TrainConfig
from stav2a.weights import vision

from . import stand_in
from .calls import Call, Calls, Made

REACHED = 0.3
DEVICES = {"V100 fp16": 125e12, "A100 bf16": 312e12, "H100 bf16": 990e12}  # FLOP/s, dense, by their makers
# fp32 weight, its gradient, AdamW's two moments and the average: 4 bytes each
BYTES_A_PARAMETER = 20
BYTES_A_FROZEN = 4


@dataclass(frozen=True)
class Cost:
    """Of one sample's training step: FLOP and bytes of fp32 activations; trained and frozen parameters."""

    flop: float
    activation_bytes: float
    parameters: int
    frozen: int = 0

    def memory_gb(self, samples: int, bits: int = 32) -> float:
        """A process that holds `samples` at once, its activations in `bits`."""
        weights = BYTES_A_PARAMETER * self.parameters + BYTES_A_FROZEN * self.frozen
        return (weights + samples * self.activation_bytes * bits / 32) / 1e9

    def seconds(self, samples: float, flops: float) -> float:
        """Of a device of `flops` FLOP/s for `samples`."""
        return samples * self.flop / (REACHED * flops)


class Kept:
    """Adds up what the backward pass keeps, weights left out."""

    def __init__(self, module: nn.Module):
        self.weights = {id(p) for p in module.parameters()}
        self.seen: dict[int, Tensor] = {}
        self.bytes = 0

    def pack(self, tensor: Tensor) -> Tensor:
        base = tensor if tensor._base is None else tensor._base
        if id(base) not in self.weights and id(base) not in self.seen:
            self.seen[id(base)] = base
            self.bytes += base.numel() * base.element_size()
        return tensor


def step_cost(stage: nn.Module, narrow: nn.Module, calls: list[Call], samples: int) -> Cost:
    """Of a stage of full size on the meta device, for the calls that its narrow form made with `samples` samples."""
    kept, results, used = Kept(stage), [], set()
    with FlopCounterMode(display=False) as counter:
        for call in calls:
            module, small = stage.get_submodule(call.name), narrow.get_submodule(call.name)
            widths, side = _widths(small, module), getattr(module, "size", None)  # of the pictures of a vision encoder

            def filled(value: Any, widths=widths, used=used, side=side) -> Any:
                if isinstance(value, Made):
                    used.add(value)
                    leaves = results[value.call]
                    return leaves[min(value.leaf, len(leaves) - 1)]
                if isinstance(value, Tensor) and isinstance(side, int) and value.ndim > 3:
                    return value.new_empty(*value.shape[:-2], side, side)
                if isinstance(value, Tensor) and value.ndim > 1 and value.shape[-1] in widths:
                    return value.new_empty(*value.shape[:-1], widths[value.shape[-1]])
                return value

            args, kwargs = tree_map(filled, (call.args, call.kwargs))
            if residuals := call.kwargs.get("down_block_additional_residuals"):  # depth tells how many
                *down, mid = results[residuals[0].call]
                kwargs |= {"down_block_additional_residuals": tuple(down), "mid_block_additional_residual": mid}
                used |= {Made(residuals[0].call, number) for number in range(len(down) + 1)}
            if "attention_mask" in kwargs:  # of a text encoder, which asks it for its values
                kwargs["attention_mask"] = None
            hooks = torch.autograd.graph.saved_tensors_hooks(kept.pack, lambda packed: packed)
            with torch.set_grad_enabled(call.learns), hooks:
                out = module(*args, **kwargs)
            results.append([leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)])
        ends = [
            leaf.float().sum()
            for number, leaves in enumerate(results)
            for k, leaf in enumerate(leaves)
            if leaf.requires_grad and Made(number, k) not in used
        ]
        if ends:
            torch.stack(ends).sum().backward()
    trained = {id(p): p.numel() for phase in stage.phases for p in stage.phase_parameters(phase)}
    frozen = sum(p.numel() for p in stage.parameters()) - sum(trained.values())
    return Cost(counter.get_total_flops() / samples, kept.bytes / samples, sum(trained.values()), frozen)


def _widths(narrow: nn.Module, full: nn.Module) -> dict[int, int]:
    """Widths of what goes in that the two configurations of a part differ in: narrow -> full."""
    pairs = ((getattr(narrow, "config", None) or {}), (getattr(full, "config", None) or {}))
    if not all(isinstance(each, dict) for each in pairs):
        return {}
    return {
        value: pairs[1][name]
        for name, value in pairs[0].items()
        if name.endswith("_dim") and isinstance(value, int) and value != pairs[1].get(name, value)
    }


def full_cost(name: str, given: TrainConfig, kept: Path, stage, calls: Calls) -> Cost:
    """Of one sample's step with networks of the configuration's own size."""
    without = {"shards", "cache", "cache_clips", "base"} | ({"unet"} if given.options.get("unet") != "new" else set())
    options = {key: value for key, value in given.options.items() if key not in without}
    encoder = tuple(options.pop(key, None) for key in ("encoder", "encoder_layers", "encoder_levels"))
    folder = kept / f"full-{given.model}-{encoder[0]}"
    if not folder.is_dir():
        stand_in.write_parts(folder, given.model, weights=False)
        if encoder[0]:
            with torch.device("meta"):
                vision.untrained(encoder[0], encoder[1] or (), encoder[2] or ()).save_config(folder / "video_encoder")
    if options.get("unet") == "new":
        shutil.rmtree(folder / "unet", ignore_errors=True)
    places = {"parts": str(folder), "out": str(kept / "full"), "bank": stage.config.bank, "sprites": ""}
    config = replace(given, **places, options=options)
    if stage.config.options.get("shards") and not hasattr(stage, "worlds"):  # of sounds alone
        config.options["shards"] = stage.config.options["shards"]
    with torch.device("meta"):
        full = make_stage(name, config).train()
    if given.gradient_checkpointing:
        for module in full.children():
            if hasattr(module, "enable_gradient_checkpointing"):
                module.enable_gradient_checkpointing()
    return step_cost(full, stage, calls.made, calls.samples)
