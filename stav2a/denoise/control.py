"""ControlNet whose condition is a sequence in time: local features (and an onset curve), one row a latent step."""

from __future__ import annotations

import functools

from diffusers import ControlNetModel
from torch import Tensor, nn

LATENT_BINS = 16


class ControlEmbedding(nn.Module):
    """Features repeated along frequency, then one zero-initialised 3×3 convolution.

    Tensor[B, T, C] -> Tensor[B, C_out, T, F]; added to the ControlNet's own first convolution of the latents
    (paper §II-C2: "we add noise latent representation z to the local temporal video features").
    """

    def __init__(self, features: int, channels: int):
        super().__init__()
        self.conv_out = nn.Conv2d(features, channels, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)

    def forward(self, control: Tensor) -> Tensor:
        return self.conv_out(control.transpose(1, 2)[..., None].expand(-1, -1, -1, LATENT_BINS))


class TemporalControlNet(ControlNetModel):
    """diffusers' ControlNet with `ControlEmbedding` in place of its image embedding.

    Until trained it leaves the U-Net's output unchanged bit for bit.
    """

    @functools.wraps(ControlNetModel.__init__)
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.controlnet_cond_embedding = ControlEmbedding(
            self.config.conditioning_channels, self.config.block_out_channels[0]
        )
