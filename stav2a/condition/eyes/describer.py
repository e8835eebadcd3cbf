"""The built-in describer: what is seen in a clip, as captions in the words that the models know; silent when unsure.

Probabilities of ImageNet's classes, the mean over some looks at the clip, are added up over the classes that sound
alike (`sounding.py`). How much of the whole a sound gets says how sure it is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .network import MOST_LOOKS, ImageNetEyes, shared_eyes
from .sounding import soundings

SURE = 0.7  # estimated probability of being right from which a caption is given: nine of ten training clips are
MOST = 2  # captions of a clip
CALIBRATION = (2.26, 1.14)  # intercept and slope over the logit of a sound's share, on 322 real training clips
PER_S = 2.0
FLOOR = 0.005  # of a class: what label smoothing leaves to each of 118 breeds must not add up to a dog


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
    eyes: ImageNetEyes | None = None,
    sure: float = SURE,
    most: int = MOST,
) -> list[Suggestion]:
    """What sounds in a clip, the surest first; [] where nothing is sure.

    frames: uint8 [T, H, W, 3], RGB, at `fps`; about 224 pixels are enough. sure: the least confidence, 0 to 1.
    Raises `EyesMissing` where the packages of the eyes are not installed.
    """
    seen = (eyes or shared_eyes())(frames, fps, per_s=PER_S, most=MOST_LOOKS)
    return [suggestion for suggestion in named(seen.probabilities)[:most] if suggestion.confidence >= sure]


def named(probabilities: Tensor) -> list[Suggestion]:
    """Every sound with its confidence, the surest first. probabilities: Tensor[N, 1000] of N looks at one clip."""
    shares = sound_shares(probabilities.mean(0))
    found = (Suggestion(s.caption, s.cls, confidence(float(p))) for s, p in zip(soundings(), shares, strict=True))
    return sorted(found, key=lambda suggestion: -suggestion.confidence)


def sound_shares(probabilities: Tensor) -> Tensor:
    """Tensor[..., 1000] of ImageNet's classes -> Tensor[..., S], the sum over each sound's classes above `FLOOR`."""
    above = (probabilities - FLOOR).clamp(min=0)
    return torch.stack([above[..., list(sound.seen)].sum(-1) for sound in soundings()], -1)


def confidence(share: float) -> float:
    """Probability that a sound with this share of the picture's probability is heard."""
    intercept, slope = CALIBRATION
    share = min(max(share, 1e-6), 1 - 1e-6)
    return 1 / (1 + math.exp(-(intercept + slope * math.log(share / (1 - share)))))
