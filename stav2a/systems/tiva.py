"""TiVA (Wang et al. 2024): semantic tokens by cross-attention, and a predicted audio layout as a latent channel.

It uses no caption. Guidance drops the semantic tokens; both branches keep the layout (§3.3). Training has three parts:
the layout predictor (stage `tiva-layout`, eq. 8), the generator on true layouts (`joint=false`, eq. 9), then both on
predicted layouts (`joint=true`, eq. 10).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401  (diffusers finds a system by it)
from torch import Tensor, nn
from torch.nn import functional

from stav2a import presets
from stav2a.condition.layout import LayoutPredictor, as_channel
from stav2a.condition.layout_kinds import BANDS, ROWS, LayoutKind
from stav2a.condition.patches import multi_level
from stav2a.denoise.conditions import Conditions
from stav2a.denoise.frame_conditions import FrameConditions
from stav2a.output import VideoFeatures

from .base import Steering, System, TrainingBatch, Widths

BINS = 16  # latent frequency bins


@dataclass
class TiVAOptions:
    rows: int | None = None  # layout rows of a training crop; null: those of the preset
    joint: bool = True  # learn from predicted layouts (eq. 10); false: from those of the real sound (eq. 9)
    layout: str = "mel"  # content of the layout (Table 3): mel, odf, onset; none: there is none (w/o T of Table 5)
    window_rows: int = ROWS  # its resolution (Fig. 5): rows of 10.24 s ...
    bands: int = BANDS  # ... and bands
    attention: str = "both"  # self-attention of the predictor (Table 4): both, global, windowed
    patches: bool = True  # the predictor's cross-attention to patches (Table 4)
    predictor_width: int | None = None  # null: that of the preset
    predictor_layers: int | None = None  # of its encoder and of its decoder


class TiVA(System):
    """`features`: Tensor[B, T, feature_dim + (1 + grid²) * level_dim], see `encode_frames`; options: `TiVAOptions`."""

    name = "tiva"
    joint = True
    encodes_by = ("grid", "layout")
    sampling = {"guidance_scale": 5.0, "video_guidance_scale": 1.0}
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
        layout: str = "mel",
        window_rows: int = ROWS,
        bands: int = BANDS,
        attention: str = "both",
        patches: bool = True,
    ):
        super().__init__()
        self.kind = LayoutKind(layout, window_rows, bands)
        self.semantic = nn.Linear(feature_dim, token_dim)  # 𝒮 of eq. 2
        nn.init.normal_(self.semantic.weight, std=0.5)  # of unit features: tokens about as large as a caption's
        self.predictor, self.lift = None, None
        if layout != "none":
            self.predictor = LayoutPredictor(  # 𝒯 of eq. 3-4
                level_dim, level_dim, grid**2, width, 4, layers, layers, rows=rows, window_rows=window_rows,
                bands=self.kind.channels, attention=attention, cross=patches,
            )  # fmt: skip
        if self.kind.is_curve:  # "elevated to 2D via an additional convolutional layer" (§4.3)
            self.lift = nn.Conv1d(1, BINS, 3, padding=1)

    @classmethod
    def sized(cls, model: str, options: dict | None = None, widths: Widths | None = None) -> TiVA:
        widths, given = widths or Widths.of_size(model), dict(options or {})
        chosen = {name: name for name in ("rows", "layout", "window_rows", "bands", "attention", "patches")}
        chosen |= {"predictor_width": "width", "predictor_layers": "layers"}
        sizes = {own: given[name] for name, own in chosen.items() if given.get(name) is not None}
        sizes |= {"width": 16, "layers": 1} if model in presets.NARROW else {}
        return cls(widths.feature, widths.levels, widths.context, **sizes)

    @property
    def extra_channels(self) -> int:
        return 0 if self.predictor is None else 1

    @classmethod
    def frozen(cls, options: dict) -> tuple[str, ...]:
        return () if options.get("joint", True) or options.get("layout") == "none" else ("predictor",)

    def encode_frames(self, frames: Tensor, video_encoder: nn.Module, cavp_features: Tensor | None = None) -> Tensor:
        if self.predictor is None:
            return super().encode_frames(frames, video_encoder, cavp_features)
        features, levels = multi_level(video_encoder, frames, self.config.grid)
        return torch.cat([features if cavp_features is None else cavp_features, levels.to(features)], -1)

    def layout(self, features: Tensor) -> Tensor | None:
        """t_v: Tensor[B, M, C] in [0, 1]; None without a predictor."""
        if self.predictor is None:
            return None
        _, frame, patches = features.split(
            [self.config.feature_dim, self.config.level_dim, self.config.grid**2 * self.config.level_dim], -1
        )
        return self.predictor(patches.unflatten(-1, (self.config.grid**2, -1)), frame)

    def forward(self, features: Tensor, text: Conditions, layout: Tensor | None = None) -> FrameConditions:
        """`layout`: Tensor[B, M, C], used instead of the predicted one."""
        layout = self.layout(features) if layout is None else layout
        return FrameConditions(
            **{**vars(text), "layout": self.channel(layout, features.shape[1])},
            features=features[..., : self.config.feature_dim],
            has_video=torch.ones(len(features), device=features.device, dtype=features.dtype),
            tokens=self.tokens,
            joint=True,
        )

    def channel(self, layout: Tensor | None, steps: int) -> Tensor | None:
        """The layout as an additional channel of the latents: Tensor[B, M, C] -> Tensor[B, T, F]."""
        if layout is None or self.lift is None:
            return None if layout is None else as_channel(layout, steps, BINS)
        curve = functional.interpolate(layout.transpose(1, 2), steps, mode="linear", align_corners=False)
        return self.lift(4 * curve - 2).transpose(1, 2)

    def conditions(self, video: VideoFeatures, text: Conditions, length: int, steering: Steering) -> FrameConditions:
        assert video.features is not None, "features of another system"
        if self.predictor is None:
            return self(video.features, text).padded(length)
        layout: Tensor = torch.as_tensor(video.layout if steering.layout is None else steering.layout)
        rows, bands = self.kind.rows_of(video.features.shape[1]), self.kind.channels
        if tuple(layout.shape) != (rows, bands):
            raise ValueError(f"The layout is {list(layout.shape)}; this clip needs {rows} rows of {bands} bands.")
        made = self(video.features, text, layout[None].to(video.features))
        return made.padded(length)

    def tokens(self, conditions: FrameConditions) -> Tensor:
        """s, or zeros if the video is dropped: Tensor[B, T, token_dim]."""
        return self.semantic(conditions.features) * conditions.has_video[:, None, None]

    def training_conditions(self, batch: TrainingBatch) -> tuple[Conditions, dict[str, Tensor]]:
        """Eq. 10 with the option `joint` (true unless given), else eq. 9: the layout of the real sound."""
        if batch.options.get("joint", True) or self.predictor is None:
            return self(batch.features, batch.text), {}
        true = self.kind.of(batch.mel, batch.features.shape[1])
        return self(batch.features, batch.text, true), {}


SYSTEM = TiVA
