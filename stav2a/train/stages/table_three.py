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

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from stav2a import presets
from stav2a.denoise.conditions import Conditions
from stav2a.denoise.control import TemporalControlNet
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.parts import note_default
from stav2a.train.stages.diffusion import V2AOptions, V2AStage
from stav2a.train.stages.onset import awakened, local_features_for


@dataclass
class VariedOptions(V2AOptions):
    onset: bool = True
    global_tokens: bool = True


class VariedV2A(V2AStage):
    """Without `onset` there is no pretext task: the projection of CAVP features for the ControlNet is trained from
    scratch by the diffusion loss alone, and there is no onset curve. Without `global_tokens` the context is the
    text (c = e_text in eq. 5).
    """

    Options = VariedOptions
    options: VariedOptions

    def __init__(self, config: TrainConfig):
        super().__init__(config)
        if not self.options.onset:
            if self.options.fine_tune:
                raise ValueError("options.fine_tune continues a ControlNet trained with onset=true; choose one.")
            if self.options.onset_loss_weight:
                raise ValueError("options.onset_loss_weight is the onset task's; onset=false has none.")
            self.learns_local = True
            self.frozen.remove(self.local_features)
            self.local_features = awakened(local_features_for(self.video_encoder, config))
            self.freeze(self.local_features.pre_onset.l2)  # the head: nothing asks it
            channels = presets.LOCAL_FEATURES[config.model]["local_dim"]
            self.controlnet = TemporalControlNet.from_unet(self.unet, conditioning_channels=channels)
        if not self.options.global_tokens:
            self.freeze(self.attentive_pool)
            if self.image_pool is not None:
                raise ValueError(
                    "options.image_features makes global tokens; it cannot be had with global_tokens=false."
                )

    def left_out(self, conditions: Conditions) -> Conditions:
        return conditions if self.options.global_tokens else replace(conditions, global_tokens=None)

    @torch.no_grad()
    def export(self, folder: Path) -> None:
        super().export(folder)
        if not self.options.onset:
            note_default(folder, "onset_threshold", 1.1)  # an untaught head predicts no onsets
        # sampling leaves out the untrained pooling, like training
        note_default(folder, "use_global_tokens", self.options.global_tokens)
