"""Semantic tokens from a pretrained image network, in addition to those of the video encoder (e_gv, paper §II-B2)."""

from __future__ import annotations

from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from stav2a.condition.attentive_pool import AttentivePooling

from .network import DEFAULT, FEATURE_DIM, LOOKS_PER_S, SIZES


class EyePooling(ModelMixin, ConfigMixin):
    """`eye_features` Tensor[B, N, 1280] of N frames -> global tokens Tensor[B, K, token_dim], by attentive pooling.

    eyes: name of the pretrained network; looks_per_s: frames per second that it sees.
    """

    @register_to_config
    def __init__(
        self,
        token_dim: int = 1024,
        tokens: int = 4,
        dropout: float = 0.1,
        eyes: str = DEFAULT,
        looks_per_s: float = LOOKS_PER_S,
        feature_dim: int = FEATURE_DIM,
    ):
        super().__init__()
        if eyes not in SIZES:
            raise ValueError(f"There are no eyes named {eyes!r}; there are {', '.join(SIZES)}.")
        self.norm = nn.LayerNorm(feature_dim)  # means of ReLU outputs: few are large, none is negative
        self.pool = AttentivePooling(feature_dim, token_dim, tokens, dropout)

    def forward(self, eye_features: Tensor) -> Tensor:
        return self.pool(self.norm(eye_features))
