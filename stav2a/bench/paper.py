"""A model of the paper's size with random weights: its time and memory can be measured without the real ones."""

from __future__ import annotations

import torch
from diffusers import DDPMScheduler
from torch import nn
from transformers import AutoTokenizer

from stav2a import presets
from stav2a.condition import text
from stav2a.pipeline import STAV2APipeline
from stav2a.weights.others import untrained_text_encoder


def random_paper(device: str = "cpu", dtype: torch.dtype = torch.float32) -> STAV2APipeline:
    """Every part in the paper's shapes, mT5-large's encoder included; captions pass through MiniLM's tokenizer.

    Its sound is meaningless, but time and memory are those of the real model.
    """
    from stav2a.models.build import build, build_controlnet

    with torch.device(device):
        parts = {
            name: build(name, "paper")
            for name in ("video_encoder", "local_features", "attentive_pool", "unet", "vae", "vocoder")
        }
        parts["controlnet"] = build_controlnet(parts["unet"], "paper")
        parts["text_encoder"] = untrained_text_encoder("mt5")
    return STAV2APipeline(
        **{name: nn.Module.to(part, dtype).eval().requires_grad_(False) for name, part in parts.items()},
        tokenizer=AutoTokenizer.from_pretrained(text.minilm_source()),
        scheduler=DDPMScheduler(**presets.SCHEDULER["paper"]),
        timeline=presets.TIMELINES["paper"].to_dict(),
    )
