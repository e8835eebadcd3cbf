"""Retrieval in the space of CVALP (TA-V2A): whether picture, sound and caption of a clip find each other.

Each clip asks once for every direction. Right is the clip's own sound or picture; clips with the same caption
are all right where a caption asks or is asked for. R@k is the share of clips with a right one among the k most
similar (cosine of whole clips, the maximum over time as in training).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stav2a.metrics.chance import bootstrap_ci
from stav2a.models.checkpoints import checkpoint_folder
from stav2a.sound.audio_encoder import MelEncoder
from stav2a.sound.mel import log_mel

FIRST = (1, 5)


@dataclass(frozen=True)
class Space:
    """Embeddings of clips, float32 [N, C] of unit norm each; sound: None without an encoder of it."""

    captions: list[str]
    video: np.ndarray
    text: np.ndarray
    audio: np.ndarray | None


def sound_encoder(model: str) -> MelEncoder | None:
    """The sound encoder of a checkpoint, which making sound does not need; None if it has none."""
    folder = checkpoint_folder(model) / "audio_encoder"
    return MelEncoder.from_pretrained(folder).eval() if (folder / "config.json").is_file() else None


@torch.no_grad()
def embedded(pipe, encoder: MelEncoder | None, clips) -> Space:
    """clips: (caption, frames uint8 [T, H, W, 3], waveform float32 [S]) of each."""
    captions, seen, heard = [], [], []
    for caption, frames, waveform in clips:
        captions.append(caption)
        seen.append(whole(pipe.encode_video(frames).features))
        if encoder is not None:
            missing = -len(waveform) % pipe.timeline.samples_per_latent
            padded = torch.from_numpy(np.pad(waveform, (0, missing)).astype(np.float32))
            heard.append(whole(functional.normalize(encoder(log_mel(padded[None], pipe.timeline)), dim=-1)))
    told = pipe.system.text_head(pipe.embed(captions))
    return Space(captions, rows(seen), told.float().cpu().numpy(), rows(heard) if heard else None)


def whole(features: Tensor) -> Tensor:
    """Unit features of moments Tensor[1, T, C] -> those of the clip, Tensor[1, C], unit norm."""
    return functional.normalize(features.float().amax(1), dim=-1)


def rows(found: list[Tensor]) -> np.ndarray:
    return torch.cat(found).cpu().numpy()


def table(space: Space) -> dict[str, dict]:
    """{direction: {"R@1": {"value", "ci95", "chance", "n"}, "R@5": …}}."""
    kinds = {"video": space.video, "text": space.text, "audio": space.audio}
    own = np.eye(len(space.captions), dtype=bool)
    alike = np.array([[one == other for other in space.captions] for one in space.captions])
    found = {}
    for asking, asked in (("video", "audio"), ("audio", "video"), ("text", "audio"), ("audio", "text"),
                          ("video", "text"), ("text", "video")):  # fmt: skip
        queries, items = kinds[asking], kinds[asked]
        if queries is not None and items is not None:
            found[f"{asking} → {asked}"] = recalled(queries @ items.T, alike if "text" in (asking, asked) else own)
    return found


def recalled(similarity: np.ndarray, right: np.ndarray) -> dict[str, dict]:
    """similarity: float [N, M]; right: bool [N, M]. Chance is that of a random order."""
    best = np.where(right, similarity, -np.inf).max(1)
    before = (similarity > best[:, None]).sum(1)  # wrong ones that come first
    of, many = similarity.shape[1], right.sum(1)
    figures = {}
    for first in FIRST:
        chance = np.mean([1 - comb(of - int(m), first) / comb(of, first) for m in many])
        hits = before < first
        figures[f"R@{first}"] = {
            "value": float(hits.mean()), "ci95": list(bootstrap_ci(hits)), "chance": float(chance), "n": len(hits),
        }  # fmt: skip
    return figures


def markdown(found: dict[str, dict]) -> str:
    """Percent, 95 % interval and chance in brackets."""
    heads = " | ".join(f"R@{first} %" for first in FIRST)
    lines = [f"| direction | n | {heads} |", "| --- | ---: |" + " ---: |" * len(FIRST)]
    for direction, figures in found.items():
        cells = []
        for row in figures.values():
            low, high = (100 * bound for bound in row["ci95"])
            cells.append(f"{100 * row['value']:.1f} ({low:.1f}–{high:.1f}; chance {100 * row['chance']:.1f})")
        lines.append(f"| {direction} | {next(iter(figures.values()))['n']} | {' | '.join(cells)} |")
    return "\n".join(lines)
