"""ControlNet whose condition is a sequence in time: local features (and an onset curve), a row a latent frame.

Axes: B items, C control channels, T latent frames, F latent frequency bins, L context tokens.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import ControlNetModel
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401  (see TemporalControlNet)
from torch import Tensor, nn


class ControlEmbedding(nn.Module):
    """One zero-initialised 3×3 convolution: Tensor[B, C, T, F] -> Tensor[B, C_out, T, F].

    Added to the ControlNet's own first convolution of the latents (paper §II-C2: "we add noise latent
    representation z to the local temporal video features").
    """

    def __init__(self, features: int, channels: int):
        super().__init__()
        self.conv_out = nn.Conv2d(features, channels, 3, padding=1)
        for parameter in self.conv_out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, control: Tensor) -> Tensor:
        return self.conv_out(control)


class TemporalControlNet(ControlNetModel):
    """diffusers' ControlNet with `ControlEmbedding` in place of its image embedding.

    A pipeline loads a part of another library by finding `ModelMixin` in the module of its class.
    `from_unet(unet, conditioning_channels=C)` copies the encoder of the U-Net; until trained it leaves
    the output of the U-Net unchanged bit for bit.
    """

    # `wraps` shows diffusers the parent's argument names, without which `from_pretrained` loses the config
    @functools.wraps(ControlNetModel.__init__)  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.controlnet_cond_embedding = ControlEmbedding(
            self.config.conditioning_channels, self.config.block_out_channels[0]
        )

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float | int,
        encoder_hidden_states: Tensor,
        controlnet_cond: Tensor,
        conditioning_scale: float = 1.0,
        encoder_attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """sample: Tensor[B, 8, T, F], controlnet_cond: Tensor[B, T, C] -> diffusers' `ControlNetOutput`.

        `encoder_attention_mask`, Tensor[B, L], hides the context's padding, so that a result does not depend
        on the longest caption of the batch. The authors' ControlNet sees the padding: None follows them.
        """
        assert controlnet_cond.shape[1] == sample.shape[2], f"{controlnet_cond.shape=} {sample.shape=}"
        control = controlnet_cond.to(sample.dtype).transpose(1, 2)[..., None]
        control = control.expand(-1, -1, -1, sample.shape[3])  # the same at every frequency
        with self._context_masked(encoder_attention_mask, sample.dtype):
            return super().forward(sample, timestep, encoder_hidden_states, control, conditioning_scale, **kwargs)

    @contextmanager
    def _context_masked(self, mask: Tensor | None, dtype: torch.dtype) -> Iterator[None]:
        """Give the mask to the blocks, which take one; diffusers' ControlNet passes none on to them."""
        if mask is None:
            yield
            return
        bias = ((1 - mask.to(dtype)) * -10000.0)[:, None]

        def add_mask(block: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
            return args, {**kwargs, "encoder_attention_mask": bias}

        hooks = [
            block.register_forward_pre_hook(add_mask, with_kwargs=True)
            for block in (*self.down_blocks, self.mid_block)
            if getattr(block, "has_cross_attention", False)
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
