"""TA-V2A (You et al.): video and caption features of one space (CVALP) mixed into tokens of the cross-attention.

Stages: `cvalp` trains the encoders (eq. 1-5), `ta-v2a` the mixing and the generator (eq. 6-10), `alignment` the
classifier of eq. 11. Sampling weighs caption, negative caption and picture on their own (eq. 13-14).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from diffusers import SchedulerMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401  (diffusers finds a system by it)
from torch import Tensor, nn
from torch.nn import functional

from stav2a import presets
from stav2a.condition.aligner import Aligner
from stav2a.condition.captions import caption_bank, standardised
from stav2a.condition.cavp import CAVPVideoEncoder
from stav2a.condition.cvalp import Mixing, TextHead
from stav2a.condition.patches import pixels_of
from stav2a.condition.pretrained import HubVideoEncoder
from stav2a.denoise.composed_guidance import ClassifierGuidance, ComposedGuidance
from stav2a.denoise.conditions import Conditions
from stav2a.denoise.frame_conditions import FrameConditions
from stav2a.denoise.sample import Guidance
from stav2a.output import VideoFeatures

from .base import System, Widths

SWITCHES = ("mix", "composed", "semantic_weight", "temporal_weight", "alignment_scale", "time_bias")


@dataclass
class TAV2AOptions:
    mix: str = "concat"  # or average
    composed: bool = True  # guidance weighs caption and picture apart (eq. 14); false: one scale (eq. 11)
    semantic_weight: float = 1.0  # λ of eq. 5 and 6
    temporal_weight: float = 1.0  # μ
    alignment_scale: float = 0.0  # γ of eq. 11 that it samples with; the stage `alignment` trains its classifier
    time_bias: bool = False  # cross-attention knows when the frames are (not in the paper; `denoise/time_bias.py`)


class TAV2A(System):
    """`features`: E_v, Tensor[B, T, C], unit norm a frame.

    mix: "concat" or "average"; composed: eq. 14 (else eq. 11, one scale for the mixture); semantic_weight and
    temporal_weight: λ and μ of eq. 5 and 6.
    """

    name = "ta-v2a"
    has_positions = True
    uses_video_encoder = False
    sampling = {"guidance_scale": 2.5, "video_guidance_scale": 2.5}
    encoders = ("video_encoder",)
    Options = TAV2AOptions

    @register_to_config
    def __init__(
        self,
        encoder: dict | None = None,
        text_dim: int = 384,
        token_dim: int = 384,
        mix: str = "concat",
        composed: bool = True,
        semantic_weight: float = 1.0,
        temporal_weight: float = 1.0,
        negative_scale: float = 2.5,
        alignment_scale: float = 0.0,
        time_bias: bool = False,
    ):
        super().__init__()
        encoder = encoder or presets.VIDEO_ENCODER["compact"]
        width = encoder["feature_dim"]
        hub = "architecture" in encoder
        self.video_encoder = HubVideoEncoder(**encoder) if hub else CAVPVideoEncoder(**encoder)
        self.text_head = TextHead(text_dim, width)
        self.mixing = Mixing(width, token_dim, mix, semantic_weight + temporal_weight)
        self.aligner = Aligner(width)
        self.bank: Tensor | None = None  # embeddings of the caption bank, computed on first use

    @classmethod
    def sized(
        cls, model: str, options: dict | None = None, widths: Widths | None = None, encoder: dict | None = None
    ) -> TAV2A:
        """`encoder`: configuration of the video encoder (CAVP's or `HubVideoEncoder`'s); else that of the preset."""
        chosen = {name: value for name, value in (options or {}).items() if name in SWITCHES}
        widths = widths or Widths.of_size(model)
        return cls(encoder or presets.VIDEO_ENCODER[model], widths.text, widths.context, **chosen)

    def sampling_defaults(self) -> dict:
        """ω_l and ω_v of eq. 14 if `composed`, else ω of eq. 11."""
        return dict(self.sampling) if self.config.composed else {**self.sampling, "guidance_scale": 4.5}

    @classmethod
    def frozen(cls, options: dict) -> tuple[str, ...]:
        return ("video_encoder", "text_head", "aligner")

    def encode_frames(self, frames: Tensor, video_encoder: nn.Module, cavp_features: Tensor | None = None) -> Tensor:
        return self.video_encoder(pixels_of(frames, self.video_encoder))[0]

    def forward(self, features: Tensor, text: Conditions) -> FrameConditions:
        return FrameConditions(
            **vars(text),
            features=features,
            has_video=torch.ones(len(features), device=features.device, dtype=features.dtype),
            tokens=self.tokens,
            joint=not self.config.composed,
            time_bias=self.config.time_bias,
        )

    def tokens(self, conditions: FrameConditions) -> Tensor:
        """τ_θ(E_mix), with zeros for a dropped caption or video: Tensor[B, T, token_dim]."""
        text = self.text_head(Conditions.pooled_text(conditions)) * conditions.has_text[:, None]
        return self.mixing(conditions.features * conditions.has_video[:, None, None], text)

    def guidance(self, dials: Guidance, scheduler: SchedulerMixin, own: Mapping[str, float]) -> Guidance:
        shared = {
            "text": dials.text,
            "control": dials.control,
            "mask_control": dials.mask_control,
            "guided_share": dials.guided_share,
            "rescale": dials.rescale,
            "alignment": own.get("alignment_guidance_scale", self.config.alignment_scale),
            "classifier": self.aligner,
            "scheduler": scheduler,
        }
        if not self.config.composed:
            return ClassifierGuidance(**shared)
        negative = own.get("negative_guidance_scale", self.config.negative_scale)
        return ComposedGuidance(**shared, video=dials.video, negative=negative)

    def caption(self, prompt: str, video: VideoFeatures, embed: Callable[[list[str]], Tensor]) -> str:
        """The prompt in the wording of training (§II-D); for an empty prompt the caption nearest to the video."""
        captions = list(caption_bank())
        if self.bank is None:
            self.bank = embed(captions)
        if prompt.strip():
            return standardised(prompt, embed, self.bank)
        assert video.features is not None, "features of another system"
        return captions[int(self.similarity(video.features, self.bank.to(video.features)).argmax())]

    def similarity(self, features: Tensor, pooled: Tensor) -> Tensor:
        """Cosine of clips and captions: Tensor[B, T, C], pooled text Tensor[N, D] -> Tensor[B, N]."""
        return functional.normalize(features.amax(1), dim=-1) @ self.text_head(pooled).T


SYSTEM = TAV2A
