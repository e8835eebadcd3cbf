"""Networks and inputs without memory (PyTorch's meta device): their operations can be counted on any machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, BertConfig, BertModel, MT5Config, MT5EncoderModel

from stav2a.condition import text
from stav2a.condition.pretrained import HubVideoEncoder
from stav2a.denoise.conditions import Conditions
from stav2a.models.build import build, build_controlnet
from stav2a.presets import ONSET_CHANNELS, TIMELINES, UNET

TOKENS = 32  # of a caption


def networks(model: str, dtype: torch.dtype = torch.float32) -> dict[str, nn.Module]:
    """Every part that makes sound in the size `model` (compact, paper, tiny), by name; the text encoder left out."""
    names = ("video_encoder", "local_features", "attentive_pool", "unet", "vae", "vocoder")
    with torch.device("meta"):
        parts = {name: build(name, model) for name in names}
        parts["controlnet"] = build_controlnet(parts["unet"], model)
    return {name: nn.Module.to(part, dtype) for name, part in parts.items()}  # diffusers' own warns of nothing


def latents(model: str, batch: int, steps: int, dtype: torch.dtype = torch.float32) -> Tensor:
    timeline = TIMELINES[model]
    return torch.empty(batch, timeline.latent_channels, steps, timeline.latent_bins, device="meta", dtype=dtype)


def conditions(model: str, batch: int, steps: int, channels: int, dtype: torch.dtype = torch.float32) -> Conditions:
    """What steers `batch` clips of `steps` latent frames; `channels`: those of the ControlNet's condition."""
    options: dict[str, Any] = {"device": "meta", "dtype": dtype}
    words = torch.empty(batch, TOKENS, UNET[model]["cross_attention_dim"], **options)
    mask = torch.ones(batch, TOKENS, dtype=torch.bool, device="meta")
    local = torch.empty(batch, steps, channels - ONSET_CHANNELS[model], **options)
    curve = torch.empty(batch, steps, **options) if ONSET_CHANNELS[model] else None
    return Conditions(words, mask, words, mask, words[:, :4], local, curve)


def mt5_large_encoder() -> MT5EncoderModel:
    """The encoder of google/mt5-large, untrained."""
    return MT5EncoderModel(
        MT5Config(
            vocab_size=250_112,
            d_model=1024,
            d_kv=64,
            d_ff=2816,
            num_layers=24,
            num_heads=16,
            feed_forward_proj="gated-gelu",
        )
    )


def is_weightless() -> bool:
    """Whether what is built now gets shapes and no memory: inside `with torch.device("meta")`."""
    return torch.get_default_device().type == "meta"


def weightless_part(folder: Path, kind: Any) -> nn.Module:
    """A part of the configuration in `folder`; `kind`: its class, unless the folder holds a pretrained encoder."""
    if (config := getattr(kind, "config_class", None)) is not None:  # of transformers
        return kind(config.from_pretrained(folder))
    named = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("_class_name")
    kind = HubVideoEncoder if named == HubVideoEncoder.__name__ else kind
    return kind.from_config(kind.load_config(folder))


def weightless_text_parts(model: str, width: int | None = None) -> tuple[Any, Any]:
    """-> (tokenizer, text_encoder) of the size `model`, on the meta device; MiniLM's tokenizer for all of them.

    `width`: of another encoder, whose own size is not known here: one layer stands for it.
    """
    if width is not None:
        return text.untrained_text_parts(width)
    source = text.minilm_source()
    tokenizer = AutoTokenizer.from_pretrained(source)
    if model == "paper":
        return tokenizer, mt5_large_encoder()
    if model == "compact":
        return tokenizer, BertModel(BertConfig.from_pretrained(source))
    return text.untrained_text_parts(UNET[model]["cross_attention_dim"])
