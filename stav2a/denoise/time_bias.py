"""Cross-attention that knows how far apart in time a latent and a frame's token are.

A linear bias of the logits by the distance in time, as in ALiBi (Press et al. 2022, §3): some heads attend to
neighbouring frames, others to the whole clip. The queries of a diffusion U-Net have no positions of their own. Without
a bias it learns only from the edges of its convolutions which frame belongs to which moment, and that takes long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor


@dataclass(frozen=True)
class Places:
    """When the tokens of a context are.

    times: Tensor[N] in latent frames, NaN for tokens of no time, such as a caption's   shape: (T, F) of the latents
    mask: bool Tensor[B, N], False for padding
    """

    times: Tensor
    shape: tuple[int, int]
    mask: Tensor
    kept: dict = field(default_factory=dict, compare=False)  # masks of this prediction by level

    def bias(self, queries: int, heads: int) -> Tensor:
        """Added to the attention's logits: Tensor[heads, queries, N]. Queries are the latents of some level, (t, f)."""
        frames, bins = self.shape
        rows = round(math.sqrt(queries * frames / bins))
        stride = frames / rows
        centres = (torch.arange(rows, device=self.times.device) + 0.5) * stride - 0.5
        distance = (centres.repeat_interleave(queries // rows)[:, None] - self.times).abs().nan_to_num(0.0)
        # four times the slopes of ALiBi: the first heads see hardly more than the nearest frame
        slopes = 4.0 * 2.0 ** (-8.0 * torch.arange(1, heads + 1, device=self.times.device) / heads)
        return -slopes[:, None, None] * distance

    def attention_mask(self, queries: int, heads: int, dtype: torch.dtype) -> Tensor:
        """Bias and mask, added to the logits: Tensor[B * heads, queries, N]. Blocks of one level share it."""
        key = (queries, heads, dtype)
        if key not in self.kept:
            padding = (~self.mask).to(dtype) * -10_000.0
            self.kept[key] = (self.bias(queries, heads).to(dtype) + padding[:, None, None]).flatten(0, 1)
        return self.kept[key]


class TimeBias(AttnProcessor2_0):
    """The attention of diffusers with `Places.bias`; as it is where no `places` are given.

    The mask comes with the places: `attn1` of a block with cross-attention alone gets none from diffusers.
    """

    def __call__(  # type: ignore[override]
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        places: Places | None = None,
    ) -> Tensor:
        if places is not None and encoder_hidden_states is not None:
            attention_mask = places.attention_mask(hidden_states.shape[1], attn.heads, hidden_states.dtype)
        return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, temb)


def attend_by_time(unet: UNet2DConditionModel) -> None:
    """Give every attention of the U-Net this processor, once."""
    if not all(isinstance(processor, TimeBias) for processor in unet.attn_processors.values()):
        unet.set_attn_processor(TimeBias())
