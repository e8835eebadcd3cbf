"""Stage `v2a` with parts left out: the rows of the paper's Table III.

| row            | settings                                          |
| -------------- | ------------------------------------------------- |
| CN w/o Filter  | onset=false global_tokens=false filter=false      |
| CN Frozen      | onset=false global_tokens=false freeze_unet=true  |
| CN             | onset=false global_tokens=false                   |
| CN+Onset       | global_tokens=false                               |
| CN+Onset+GVF   | (the proposed model)                              |

(each as `options.NAME`; Pretrained-T2A and FineTuned-T2A are the stage `t2a`.) Give every row its own `parts`, a
copy of the folder that the earlier stages filled.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from stav2a import presets
from stav2a.denoise.conditions import Conditions
from stav2a.denoise.control import TemporalControlNet
from stav2a.models.build import build
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.parts import note_default, trained
from stav2a.train.stages.diffusion import V2AStage
from stav2a.train.stages.onset import awakened


class VariedV2A(V2AStage):
    """Options besides `V2AStage`'s: `onset` and `global_tokens` (true),
    `fine_tune` (false: start anew from the U-Net; true: go on from the ControlNet and the pooling in `parts`).

    Without `onset` there is no pretext task: the projection of CAVP features that the ControlNet takes is new and
    learns from the diffusion loss alone, and there is no onset curve. Without `global_tokens` the context is the
    text (c = e_text in eq. 5).
    """

    def __init__(self, config: TrainConfig):
        super().__init__(config)
        self.with_onset = bool(config.options.get("onset", True))
        self.with_global_tokens = bool(config.options.get("global_tokens", True))
        if not self.with_onset:
            self.frozen.remove(self.local_features)
            self.local_features = awakened(build("local_features", config.model))
            self.freeze(self.local_features.pre_onset.l2)  # the head: nothing asks it
            channels = presets.LOCAL_FEATURES[config.model]["local_dim"]
            self.controlnet = TemporalControlNet.from_unet(self.unet, conditioning_channels=channels)
        if config.options.get("fine_tune", False):
            if not self.with_onset:
                raise ValueError("options.fine_tune goes on from a ControlNet that learnt with onset=true; choose one.")
            self.controlnet = trained(config.parts, "controlnet").train()
            self.attentive_pool = trained(config.parts, "attentive_pool").train()
        if not self.with_global_tokens:
            self.freeze(self.attentive_pool)

    def seen(self, batch: dict) -> dict:
        batch = super().seen(batch)
        if not self.with_onset:  # those of the batch were made without gradients
            batch = {**batch, "local_features": self.local_features(batch["cavp_features"])[0]}
        return batch

    def left_out(self, conditions: Conditions) -> Conditions:
        return conditions if self.with_global_tokens else replace(conditions, global_tokens=None)

    @torch.no_grad()
    def export(self, folder: Path) -> None:
        super().export(folder)
        if not self.with_onset:
            self.local_features.save_pretrained(folder / "local_features")
            note_default(folder, "onset_threshold", 1.1)  # an untaught head predicts no onsets
        # sampled as it was trained: pooling that learnt nothing must not speak
        note_default(folder, "use_global_tokens", self.with_global_tokens)
