"""transformers' own CLAP, tiny and random, in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, RobertaTokenizer

TEXT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 40}
AUDIO = {"hidden_size": 32, "depths": [1, 1], "num_attention_heads": [2, 2], "patch_embeds_hidden_size": 16,
         "window_size": 4, "spec_size": 64, "num_mel_bins": 16, "num_classes": 2, "projection_dim": 8}  # fmt: skip


def write_clap(folder: Path) -> Path:
    """Words are spelt by letters; any sound and any caption get a score."""
    folder.mkdir(parents=True)
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, **{chr(c): c - 93 for c in range(97, 123)}}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    RobertaTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    ClapModel(ClapConfig(text_config=TEXT, audio_config=AUDIO, projection_dim=8)).save_pretrained(folder)
    extractor = ClapFeatureExtractor(feature_size=16, fft_window_size=1024, hop_length=1920, truncation="rand_trunc")
    extractor.save_pretrained(folder)
    return folder
