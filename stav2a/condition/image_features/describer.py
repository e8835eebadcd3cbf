"""The built-in describer: suggests captions for what is seen in a clip, or none if it is unsure.

ImageNet's class probabilities are averaged over some frames of the clip and summed over the classes with the same sound
(`sounding.py`). The confidence of a sound follows from its share of the total.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .network import MOST_FRAMES, ImageNetFeatures, shared_network
from .sounding import soundings

SURE = 0.7  # least estimated probability of being right: at it, nine of ten captions of training clips are right
MOST = 2  # captions per clip
CALIBRATION = (2.26, 1.14)  # intercept and slope over the logit of a sound's share, on 322 real training clips
PER_S = 2.0
FLOOR = 0.005  # least class probability that counts: label smoothing over 118 breeds must not add up to a dog


class Suggestion(NamedTuple):
    """caption: one sentence; cls: the sound bank's class, "" for none; confidence: probability of being right."""

    caption: str
    cls: str
    confidence: float

    def to_json(self) -> dict:
        return {**self._asdict(), "confidence": round(self.confidence, 3)}


def describe(
    frames: np.ndarray | Tensor,
    fps: float,
    network: ImageNetFeatures | None = None,
    sure: float = SURE,
    most: int = MOST,
) -> list[Suggestion]:
    """What sounds in a clip, most confident first; [] if nothing is certain enough.

    frames: uint8 [T, H, W, 3], RGB, at `fps`; about 224 pixels are enough. sure: the lowest confidence, 0 to 1.
    Raises `ImageNetworkMissing` if the packages of the image network are not installed.
    """
    found = (network or shared_network())(frames, fps, per_s=PER_S, most=MOST_FRAMES)
    return [suggestion for suggestion in named(found.probabilities)[:most] if suggestion.confidence >= sure]


def named(probabilities: Tensor) -> list[Suggestion]:
    """All sounds with their confidence, highest first. probabilities: Tensor[N, 1000] of N frames of one clip."""
    shares = sound_shares(probabilities.mean(0))
    found = (Suggestion(s.caption, s.cls, confidence(float(p))) for s, p in zip(soundings(), shares, strict=True))
    return sorted(found, key=lambda suggestion: -suggestion.confidence)


def sound_shares(probabilities: Tensor) -> Tensor:
    """Tensor[..., 1000] of ImageNet's classes -> Tensor[..., S], the sum over each sound's classes above `FLOOR`."""
    above = (probabilities - FLOOR).clamp(min=0)
    return torch.stack([above[..., list(sound.seen)].sum(-1) for sound in soundings()], -1)


def confidence(share: float) -> float:
    """Estimated probability that a sound with this share is really heard."""
    intercept, slope = CALIBRATION
    share = min(max(share, 1e-6), 1 - 1e-6)
    return 1 / (1 + math.exp(-(intercept + slope * math.log(share / (1 - share)))))
