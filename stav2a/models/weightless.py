"""Networks without memory (PyTorch's meta device): their operations can be counted on any machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoTokenizer, BertConfig, BertModel

from stav2a.condition import text
from stav2a.condition.pretrained import HubVideoEncoder
from stav2a.presets import UNET
from stav2a.weights.others import untrained_text_encoder


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


def weightless_text_parts(model: str, name: str | None = None) -> tuple[Any, Any]:
    """-> (tokenizer, text_encoder) of the size `model`, on the meta device; MiniLM's tokenizer for all of them.

    name: another one (`weights.others.untrained_text_encoder`) in place of the model's own.
    """
    source = text.minilm_source()
    tokenizer = AutoTokenizer.from_pretrained(source)
    if name or model == "paper":
        return tokenizer, untrained_text_encoder(name or "mt5")
    if model == "compact":
        return tokenizer, BertModel(BertConfig.from_pretrained(source))
    return text.untrained_text_parts(UNET[model]["cross_attention_dim"])
