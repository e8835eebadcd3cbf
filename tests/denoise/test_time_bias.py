"""Cross-attention that knows when the tokens of its context are."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from stav2a.denoise.time_bias import Places, TimeBias, attend_by_time


def test_the_bias_is_the_distance_in_time_with_a_slope_a_head():
    """A level of half the resolution in time and frequency: 4 rows of 2 queries for 8 latent frames of 4 bins."""
    times = torch.tensor([torch.nan, 0.0, 7.0])
    bias = Places(times, (8, 4), torch.ones(1, 3, dtype=torch.bool)).bias(queries=8, heads=2)
    assert bias.shape == (2, 8, 3) and torch.count_nonzero(bias[..., 0]) == 0
    assert bias[0, :, 1].tolist() == pytest.approx([-0.5 / 4] * 2 + [-2.5 / 4] * 2 + [-4.5 / 4] * 2 + [-6.5 / 4] * 2)
    assert bias[1, :2, 2].tolist() == pytest.approx([-6.5 / 64] * 2)


def test_without_places_the_attention_is_that_of_diffusers():
    torch.manual_seed(0)
    attention = Attention(16, cross_attention_dim=8, heads=2, dim_head=8).eval()
    queries, context = torch.randn(2, 32, 16), torch.randn(2, 9, 8)
    present = torch.rand(2, 9) < 0.7
    mask = torch.where(present, 0.0, -10_000.0)[:, None]
    wanted = AttnProcessor2_0()(attention, queries, context, mask)
    assert torch.equal(TimeBias()(attention, queries, context, mask), wanted)
    places = Places(torch.arange(9.0), (16, 8), present)
    biased = TimeBias()(attention, queries, context, mask, places=places)
    assert not torch.allclose(biased, wanted)
    assert torch.equal(TimeBias()(attention, queries, context, places=places), biased), "the places bring the mask"
    logits = attention.head_to_batch_dim(attention.to_q(queries)) @ attention.head_to_batch_dim(
        attention.to_k(context)
    ).transpose(1, 2)
    logits = logits * attention.scale + mask.repeat_interleave(2, 0) + places.bias(32, 2).repeat(2, 1, 1)
    mixed = logits.softmax(-1) @ attention.head_to_batch_dim(attention.to_v(context))
    torch.testing.assert_close(biased, attention.to_out[0](attention.batch_to_head_dim(mixed)), atol=1e-5, rtol=1e-4)


def test_a_unet_gets_the_processor_once():
    unet = UNet2DConditionModel(
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        cross_attention_dim=8,
        attention_head_dim=4,
    )
    attend_by_time(unet)
    first = list(unet.attn_processors.values())
    attend_by_time(unet)
    assert all(isinstance(processor, TimeBias) for processor in first)
    assert all(one is other for one, other in zip(first, unet.attn_processors.values(), strict=True))
