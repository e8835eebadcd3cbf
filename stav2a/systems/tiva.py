"""TiVA (Wang et al. 2024): semantic tokens by cross-attention, and a predicted audio layout as a latent channel.

It hears no caption. Guidance drops the semantic tokens; the layout stays in both halves (§3.3). Trained in parts:
the layout predictor alone (stage `tiva-layout`, eq. 8), the generator on true layouts (`joint=false`, eq. 9), then
all together on predicted ones (`joint=true`, eq. 10).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401  (diffusers finds a system by it)
from torch import Tensor, nn

from stav2a import presets
from stav2a.condition.layout import BANDS, LayoutPredictor, as_channel, layout_of, layout_rows
from stav2a.condition.patches import level_widths, multi_level
from stav2a.denoise.conditions import Conditions
from stav2a.denoise.frame_conditions import FrameConditions

from .base import Learning, Steering, System

BINS = 16  # latent frequency bins


@dataclass
class TiVAOptions:
    rows: int | None = None  # layout rows of a training's stretch; null: those of the size
    joint: bool = True  # learn from predicted layouts (eq. 10); false: from those of the real sound (eq. 9)


class TiVA(System):
    """`features`: Tensor[B, T, feature_dim + (1 + grid²) * level_dim], see `look`."""

    name = "tiva"
    title = "a predicted audio layout beside the latents, semantic tokens (Wang et al. 2024)"
    hears_caption = False
    joint = True
    sampling = {"guidance_scale": 5.0, "video_guidance_scale": 1.0}
    latent_channels = 1
    Options = TiVAOptions

    @register_to_config
    def __init__(
        self,
        feature_dim: int = 256,
        level_dim: int = 448,
        token_dim: int = 384,
        grid: int = 2,
        width: int = 128,
        layers: int = 2,
        rows: int = 26,
    ):
        super().__init__()
        self.semantic = nn.Linear(feature_dim, token_dim)  # 𝒮 of eq. 2
        nn.init.normal_(self.semantic.weight, std=0.5)  # of unit features: tokens about as large as a caption's
        self.predictor = LayoutPredictor(  # 𝒯 of eq. 3-4
            level_dim, level_dim, grid**2, width, 4, layers, layers, rows=rows
        )

    @classmethod
    def sized(cls, model: str, options: dict | None = None) -> TiVA:
        """`options`: `rows`, the layout rows of a training's stretch."""
        encoder = presets.VIDEO_ENCODER[model]
        levels = sum(level_widths(encoder["base_channels"], encoder["expansion"]))
        sizes = {"width": 16, "layers": 1} if model in presets.NARROW else {}
        rows = {"rows": options["rows"]} if (options or {}).get("rows") else {}
        return cls(encoder["feature_dim"], levels, presets.UNET[model]["cross_attention_dim"], **sizes, **rows)

    @classmethod
    def resting(cls, options: dict) -> tuple[str, ...]:
        return () if options.get("joint", True) else ("predictor",)

    def look(self, frames: Tensor, cavp_features: Tensor, video_encoder) -> Tensor:
        levels = multi_level(video_encoder, frames, self.config.grid)
        return torch.cat([cavp_features, levels.to(cavp_features)], -1)

    def layout(self, features: Tensor) -> Tensor:
        """t_v: Tensor[B, M, C] in [0, 1]."""
        _, frame, patches = features.split(
            [self.config.feature_dim, self.config.level_dim, self.config.grid**2 * self.config.level_dim], -1
        )
        return self.predictor(patches.unflatten(-1, (self.config.grid**2, -1)), frame)

    def forward(self, features: Tensor, words: Conditions, layout: Tensor | None = None) -> FrameConditions:
        """`layout`, Tensor[B, M, C], stands in place of the predicted one."""
        layout = self.layout(features) if layout is None else layout
        return FrameConditions(
            **{**vars(words), "layout": as_channel(layout, features.shape[1], BINS)},
            features=features[..., : self.config.feature_dim],
            seen=torch.ones(len(features), device=features.device, dtype=features.dtype),
            tokens=self.tokens,
            joint=True,
        )

    def conditions(self, video, words: Conditions, length: int, steering: Steering) -> FrameConditions:
        layout = torch.as_tensor(video.layout if steering.layout is None else steering.layout)
        rows = layout_rows(video.features.shape[1])
        if tuple(layout.shape) != (rows, BANDS):
            raise ValueError(f"The layout is {list(layout.shape)}; this clip needs {rows} rows of {BANDS} bands.")
        made = self(video.features, words, layout[None].to(video.features))
        return made.padded(length)

    def tokens(self, conditions: FrameConditions) -> Tensor:
        """s, or zeros where the picture is dropped: Tensor[B, T, token_dim]."""
        return self.semantic(conditions.features) * conditions.seen[:, None, None]

    def learn(self, batch: Learning) -> tuple[Conditions, dict[str, Tensor]]:
        """Eq. 10 with the option `joint` (true unless given), else eq. 9: the layout of the real sound."""
        if batch.options.get("joint", True):
            return self(batch.features, batch.words), {}
        true = layout_of(batch.mel, batch.features.shape[1])
        return self(batch.features, batch.words, true), {}


SYSTEM = TiVA
