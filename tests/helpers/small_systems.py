"""Systems of the tiny model, with random weights."""

from __future__ import annotations

import copy

import torch

from stav2a import systems
from stav2a.pipeline import STAV2APipeline
from stav2a.train.runtime.start import widened


def pipeline_of(tiny, name: str, seed: int = 0, **switches) -> STAV2APipeline:
    """The tiny model with another system, whose weights are the same for any switches that keep their shapes."""
    kind = systems.find(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        system = kind.sized("tiny", switches).eval()
    unet = widened(copy.deepcopy(tiny.unet), system.extra_channels)
    if system.extra_channels:  # as if trained: new channels start as zero
        torch.nn.init.normal_(unet.conv_in.weight, std=0.3, generator=torch.Generator().manual_seed(1))
    parts = {part: module for part, module in tiny.components.items() if part not in ("attentive_pool", "controlnet")}
    config = {key: dict(tiny.config[key]) for key in ("timeline", "defaults")}
    pipe = STAV2APipeline(
        **{**parts, "unet": unet, "system": system, "attentive_pool": None, "controlnet": None}, **config
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
