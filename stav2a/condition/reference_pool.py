"""Reference tokens: recordings join the caption in the context, as in Re-AudioLDM (arXiv 2309.08051).

There the recordings are encoded by AudioMAE. Here they are latents of the model's own VAE, which a checkpoint has.
"""

from __future__ import annotations

from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from stav2a.condition.attentive_pool import AttentivePooling

FRAMES = 5  # latent frames that a feature is made of: 0.2 s, an attack and what rings after it


class ReferencePooling(ModelMixin, ConfigMixin):
    """Latents of a reference, Tensor[B, C, T, F] -> reference tokens Tensor[B, K, token_dim], by attentive pooling.

    latent_dim: C · F. The tokens hardly depend on when the reference sounds: its timing is not for the generator.
    """

    @register_to_config
    def __init__(self, latent_dim: int = 128, token_dim: int = 1024, tokens: int = 4, dropout: float = 0.1):
        super().__init__()
        self.norm = nn.LayerNorm(latent_dim)
        # pooling is a mean of frames: how a sound decays must be in the features
        self.embed = nn.Conv1d(latent_dim, token_dim, FRAMES, padding=FRAMES // 2)
        self.pool = AttentivePooling(token_dim, token_dim, tokens, dropout)

    def forward(self, latents: Tensor) -> Tensor:
        frames = self.norm(latents.transpose(1, 2).flatten(2))
        features = nn.functional.gelu(self.embed(frames.transpose(1, 2)))
        return self.pool(features.transpose(1, 2))
