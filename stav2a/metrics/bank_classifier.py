"""This project's own sound classifier, for FD_bank, KL_bank, IS_bank and for checking what was asked for.

A small CNN over log-mel windows, trained on real recordings of a labelled sound bank
(`train/classifier.py`). Its weights lie in `assets/bank_classifier/`, so that these metrics need no
network. Its numbers compare systems with each other; they are not the paper's FD, KL and IS, which use
other networks.

Letters: N windows, B windows of a batch, M mel frames, C classes, D embedding channels.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from stav2a import assets
from stav2a.sound.mel import log_mel
from stav2a.sound.onsets import as_mono
from stav2a.timeline import COMPACT, Timeline

ASSETS = assets.ASSETS / "bank_classifier"
RANGE = 8.0  # nepers below the loudest value that the network sees (70 dB)
QUIET_DB = 40.0  # windows this far below the loudest one are left out


class ResidualBlock(nn.Module):
    def __init__(self, channels_in: int, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True),
            nn.Conv2d(channels_in, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Tensor[B, channels_in, M, F] -> Tensor[B, channels, M / 2, F / 2]."""
        hidden = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(hidden)) + self.shortcut(x))


class BankClassifier(nn.Module):
    """log-mel Tensor[B, M, 64] -> (embedding Tensor[B, D], logits Tensor[B, C]); any level, any M >= 32."""

    def __init__(
        self,
        classes: list[str],
        channels: tuple[int, ...] = (24, 48, 96, 160),
        embedding_dim: int = 128,
        mel_bins: int = COMPACT.mel_bins,
        stem_stride: int = 4,
        window_s: float = 2.56,
    ):
        """stem_stride: mel frames to a step of the first layer, 2 or 4; window_s: of the training windows."""
        super().__init__()
        self.classes, self.window_s = list(classes), window_s
        self.config = {
            "classes": self.classes,
            "channels": list(channels),
            "embedding_dim": embedding_dim,
            "mel_bins": mel_bins,
            "stem_stride": stem_stride,
            "window_s": window_s,
        }
        reach = 2 * stem_stride - 1
        self.stem = nn.Sequential(
            nn.Conv2d(1, channels[0], (reach, 5), stride=(stem_stride, 2), padding=(reach // 2, 2), bias=False),
            nn.BatchNorm2d(channels[0]),
            nn.ReLU(),
        )
        pairs = itertools.pairwise(channels)
        self.blocks = nn.Sequential(*(ResidualBlock(a, b) for a, b in pairs))
        bins = mel_bins // 2 ** len(channels)
        self.mix = nn.Conv1d(channels[-1] * bins, 2 * embedding_dim, 1)
        self.salience = nn.Conv1d(2 * embedding_dim, 1, 1)  # which moments of the window count
        self.embed = nn.Linear(4 * embedding_dim, embedding_dim)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(embedding_dim, len(self.classes))

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        loudest = mel.amax(dim=(1, 2), keepdim=True)
        x = (mel - loudest).clamp(min=-RANGE) / RANGE + 0.5
        x = self.blocks(self.stem(x[:, None]))
        x = torch.relu(self.mix(x.transpose(2, 3).flatten(1, 2)))  # [B, 2 D, M / (8 stem_stride)]
        weights = self.salience(x).softmax(dim=-1)
        pooled = torch.cat([(x * weights).sum(-1), x.amax(-1)], dim=1)
        embedding = self.embed(self.dropout(pooled))
        return embedding, self.head(torch.relu(embedding))

    def save(self, folder: str | Path) -> None:
        """Write `config.json` and `model.safetensors` (fp16: half the size, no measurable difference)."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.config, indent=1) + "\n", encoding="utf-8")
        tensors = {name: t.half() if t.is_floating_point() else t for name, t in self.state_dict().items()}
        save_file({name: t.contiguous() for name, t in tensors.items()}, folder / "model.safetensors")

    @classmethod
    def load(cls, folder: str | Path = ASSETS) -> BankClassifier:
        """The trained classifier, in eval mode and fp32."""
        folder = Path(folder)
        if not (folder / "model.safetensors").is_file():
            raise FileNotFoundError(
                f"There is no trained bank classifier in {folder}; make it with "
                f"`python -m stav2a train classifier --config configs/compact/classifier.yaml bank=FOLDER`."
            )
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model = cls(**{**config, "channels": tuple(config["channels"])})
        tensors = load_file(folder / "model.safetensors")
        model.load_state_dict({n: t.float() if t.is_floating_point() else t for n, t in tensors.items()})
        return model.eval()


@dataclass(frozen=True)
class ClipFeatures:
    """What the classifier says about one sound."""

    embeddings: np.ndarray  # float32 [N, D], one a window
    probabilities: np.ndarray  # float32 [C], mean over the windows that sound


def windows(waveform: np.ndarray, window_s: float, timeline: Timeline = COMPACT) -> np.ndarray:
    """Windows float32 [N, S] that overlap by half, the last zero-padded; quiet ones left out, at least one stays."""
    size = round(window_s * timeline.sample_rate)
    hop = size // 2
    count = 1 + max(0, -(-(len(waveform) - size) // hop))
    padded = np.zeros(size + (count - 1) * hop, np.float32)
    padded[: len(waveform)] = waveform[: len(padded)]
    parts = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    power = (parts.astype(np.float64) ** 2).mean(axis=1)
    return parts[power >= power.max() * 10 ** (-QUIET_DB / 10)]


@torch.no_grad()
def describe(model: BankClassifier, waveform: np.ndarray, timeline: Timeline = COMPACT) -> ClipFeatures:
    """Embeddings and class probabilities of a sound at the timeline's rate: float [S]."""
    parts = torch.from_numpy(np.ascontiguousarray(windows(as_mono(waveform), model.window_s, timeline)))
    device = next(model.parameters()).device
    embeddings, logits = model(log_mel(parts.to(device), timeline))
    return ClipFeatures(embeddings.cpu().numpy(), logits.softmax(-1).mean(0).cpu().numpy())


def rank_of(probabilities: np.ndarray, classes: list[str], asked: str) -> int:
    """Place of the asked class, 1 for the most probable: top-1 is rank 1, top-5 rank at most 5."""
    if asked not in classes:
        raise ValueError(f"the classifier knows no class {asked!r}")
    return 1 + int((probabilities > probabilities[classes.index(asked)]).sum())


@lru_cache(maxsize=4)
def known_classes(folder: Path = ASSETS) -> list[str]:
    """Names of the classes, in the order of the probabilities."""
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))["classes"]
