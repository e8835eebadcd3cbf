"""STA-V2A: caption and global tokens in the context, local features and onsets through a ControlNet.

Its parts are stored under their own names, like the authors'. This module only makes conditions of them.
Its training stage is `v2a` (`stav2a/train/stages/diffusion.py`).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn import Module

from stav2a.condition.onset import onset_curve
from stav2a.denoise.conditions import Conditions
from stav2a.output import VideoFeatures

from .base import Steering, System


class STAV2A(System):
    """Wraps parts of a pipeline. `latent_frame_s` is None if the ControlNet has no channel for an onset curve.

    image_pool: pools features of a pretrained image network into further tokens, if the model has it.
    """

    name = "sta-v2a"

    def __init__(self, attentive_pool: Module | None, latent_frame_s: float | None, image_pool: Module | None = None):
        super().__init__()
        self.attentive_pool = attentive_pool
        self.latent_frame_s = latent_frame_s
        self.image_pool = image_pool

    def conditions(self, video: VideoFeatures, text: Conditions, length: int, steering: Steering) -> Conditions:
        missing = length - video.local_features.shape[1]
        local = torch.nn.functional.pad(video.local_features, (0, 0, 0, missing))
        curve = None
        if self.latent_frame_s is not None:
            times = video.onset.onsets_s if steering.onsets_s is None else steering.onsets_s
            drawn = onset_curve(times if steering.use_onsets else [], length, self.latent_frame_s)
            curve = torch.from_numpy(drawn)[None].to(local)
        tokens = None
        if steering.use_global_tokens:
            assert self.attentive_pool is not None
            tokens = self.attentive_pool(video.cavp_features)
            if self.image_pool is not None:
                tokens = torch.cat([tokens, self.image_pool(video.image_features)], 1)
        return replace(
            text,
            global_tokens=tokens,
            local_features=local if steering.use_control else None,
            onset_curve=curve if steering.use_control else None,
        )


SYSTEM = STAV2A
