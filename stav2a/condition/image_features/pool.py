"""Semantic tokens from a pretrained image network, in addition to those of the video encoder (e_gv, paper §II-B2)."""

from __future__ import annotations

from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from stav2a.condition.attentive_pool import AttentivePooling

from .network import DEFAULT, FEATURE_DIM, FRAMES_PER_S, SIZES


class ImagePooling(ModelMixin, ConfigMixin):
    """`image_features` Tensor[B, N, 1280] of N frames -> global tokens Tensor[B, K, token_dim], by attentive pooling.

    network: name of the pretrained network; frames_per_s: frames per second that it encodes.
    """

    @register_to_config
    def __init__(
        self,
        token_dim: int = 1024,
        tokens: int = 4,
        dropout: float = 0.1,
        network: str = DEFAULT,
        frames_per_s: float = FRAMES_PER_S,
        feature_dim: int = FEATURE_DIM,
    ):
        super().__init__()
        if network not in SIZES:
            raise ValueError(f"There is no image network named {network!r}; there are {', '.join(SIZES)}.")
        self.norm = nn.LayerNorm(feature_dim)  # means of ReLU outputs: few are large, none is negative
        self.pool = AttentivePooling(feature_dim, token_dim, tokens, dropout)

    def forward(self, image_features: Tensor) -> Tensor:
        return self.pool(self.norm(image_features))
