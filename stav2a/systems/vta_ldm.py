"""VTA-LDM (Xu et al. 2024): every frame's features, linearly projected, are tokens of the cross-attention.

The switches are the rows of its Table 3: `text` (the caption's tokens join), `positions` (sinusoids), `flow`
(additional optical-flow tokens). Guidance compares with a zero visual embedding (eq. 2). `time_bias` is an addition
for short trainings (`denoise/time_bias.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401  (diffusers finds a system by it)
from torch import Tensor, nn

from stav2a.condition.frame_tokens import FLOW_CHANNELS, flow_features, sinusoids
from stav2a.denoise.conditions import Conditions
from stav2a.denoise.frame_conditions import FrameConditions

from .base import System, Widths

SWITCHES = ("text", "positions", "flow", "time_bias")


@dataclass
class VTALDMOptions:
    text: bool = True  # the caption's tokens join
    positions: bool = True  # sinusoids
    flow: bool = False  # additional optical-flow tokens
    time_bias: bool = False  # cross-attention knows when the frames are (not in the paper)


class VTALDM(System):
    """`features`: Tensor[B, T, feature_dim], plus FLOW_CHANNELS if `flow` is on."""

    name = "vta-ldm"
    joint = True
    has_positions = True
    encodes_by = ("flow",)
    Options = VTALDMOptions

    @register_to_config
    def __init__(
        self,
        feature_dim: int = 256,
        token_dim: int = 384,
        text: bool = True,
        positions: bool = True,
        flow: bool = False,
        text_dim: int | None = None,
        time_bias: bool = False,
    ):
        super().__init__()
        self.uses_caption = text
        self.project = nn.Linear(feature_dim, token_dim)  # φ of eq. 1
        nn.init.normal_(self.project.weight, std=0.5)  # of unit features: tokens about as large as a caption's
        self.project_flow = nn.Linear(FLOW_CHANNELS, token_dim) if flow else None
        # no projection if the text encoder is as wide as the context
        self.project_text = nn.Linear(text_dim, token_dim) if text and text_dim not in (None, token_dim) else None

    @classmethod
    def sized(cls, model: str, options: dict | None = None, widths: Widths | None = None) -> VTALDM:
        """`options`: the switches by name."""
        switches = {name: bool(value) for name, value in (options or {}).items() if name in SWITCHES}
        widths = widths or Widths.of_size(model)
        return cls(widths.feature, widths.context, **switches, text_dim=widths.text)

    def encode_frames(self, frames: Tensor, video_encoder: nn.Module, cavp_features: Tensor | None = None) -> Tensor:
        features = super().encode_frames(frames, video_encoder, cavp_features)
        return torch.cat([features, flow_features(frames).to(features)], -1) if self.config.flow else features

    def forward(self, features: Tensor, text: Conditions) -> FrameConditions:
        seen = torch.ones(len(features), device=features.device, dtype=features.dtype)
        return FrameConditions(
            **vars(text),
            features=features,
            has_video=seen,
            tokens=self.tokens,
            caption_tokens=self.config.text,
            project_caption=self.project_text,
            joint=True,
            time_bias=self.config.time_bias,
        )

    def tokens(self, conditions: FrameConditions) -> Tensor:
        """φ(f_V), or zeros if the video is dropped: Tensor[B, T or 2 T, token_dim]."""
        visual, flow = conditions.features.split([self.config.feature_dim, self._flow_dim], -1)
        streams = [self.project(visual)]
        if self.project_flow is not None:
            streams.append(self.project_flow(flow))
        if self.config.positions:
            places = sinusoids(visual.shape[1], self.config.token_dim, visual)
            streams = [stream + places for stream in streams]
        return torch.cat(streams, 1) * conditions.has_video[:, None, None]

    @property
    def _flow_dim(self) -> int:
        return FLOW_CHANNELS if self.config.flow else 0


SYSTEM = VTALDM
