"""Configuration of each part, read from the shapes of its weights.

What shapes cannot tell (number of heads, upcasting, group norm, rates of the vocoder) is taken from a
configuration file where one is given, else from the documented defaults, and the caller gets a note of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from stav2a import presets

from .errors import WeightsError

Shapes = Mapping[str, tuple[int, ...]]

# The U-Net's arguments that no shape shows: the values of the related VTA-LDM repository's config of the same
# library version ("pretrain", 128/256/384/640). `attention_head_dim` is the number of heads.
UNET_DEFAULTS = {
    "attention_head_dim": 8,
    "upcast_attention": False,
    "norm_num_groups": 32,
    "norm_eps": 1e-5,
    "act_fn": "silu",
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "downsample_padding": 1,
    "mid_block_scale_factor": 1,
    "center_input_sample": False,
    "sample_size": 128,
}


def shapes_of(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state.items()}


def count(shapes: Shapes, pattern: str) -> int:
    """One more than the largest number that the pattern's group finds, 0 if none."""
    found = [int(match[1]) for key in shapes if (match := re.match(pattern, key))]
    return max(found) + 1 if found else 0


def has(shapes: Shapes, prefix: str) -> bool:
    return any(key.startswith(prefix) for key in shapes)


def need(shapes: Shapes, key: str, part: str) -> tuple[int, ...]:
    if key not in shapes:
        raise WeightsError(f"The weights of {part} lack {key}; this is not a file of that part.")
    return tuple(shapes[key])


def unet_config(shapes: Shapes) -> dict:
    """What the shapes of a `UNet2DConditionModel` show."""
    levels = count(shapes, r"down_blocks\.(\d+)\.")
    if not levels:
        raise WeightsError("The weights of unet have no down_blocks; this is not a file of that part.")
    down_attention = [has(shapes, f"down_blocks.{i}.attentions.") for i in range(levels)]
    up_attention = [has(shapes, f"up_blocks.{i}.attentions.") for i in range(levels)]
    attentive = next((f"down_blocks.{i}.attentions.0." for i in range(levels) if down_attention[i]), None)
    if attentive is None:
        raise WeightsError("The weights of unet have no cross-attention; this is not a file of that part.")
    block = f"{attentive}transformer_blocks.0."
    first = need(shapes, "conv_in.weight", "unet")
    return {
        "in_channels": first[1],
        "out_channels": need(shapes, "conv_out.weight", "unet")[0],
        "block_out_channels": tuple(
            need(shapes, f"down_blocks.{i}.resnets.0.conv1.weight", "unet")[0] for i in range(levels)
        ),
        "layers_per_block": count(shapes, r"down_blocks\.0\.resnets\.(\d+)\."),
        "down_block_types": tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in down_attention),
        "up_block_types": tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in up_attention),
        "mid_block_type": "UNetMidBlock2DCrossAttn" if has(shapes, "mid_block.attentions.") else "UNetMidBlock2D",
        "cross_attention_dim": need(shapes, f"{block}attn2.to_k.weight", "unet")[1],
        "transformer_layers_per_block": count(shapes, re.escape(attentive) + r"transformer_blocks\.(\d+)\."),
        "use_linear_projection": len(need(shapes, f"{attentive}proj_in.weight", "unet")) == 2,
        "conv_in_kernel": first[2],
    }


def control_channels(shapes: Shapes) -> int:
    """Channels of the condition that a `TemporalControlNet` takes."""
    return need(shapes, "controlnet_cond_embedding.conv_out.weight", "controlnet")[1]


def video_encoder_config(shapes: Shapes) -> dict:
    stem = need(shapes, "video_encoder.conv1.conv.weight", "video_encoder")
    stages = count(shapes, r"video_encoder\.layer(\d+)\.") - 1
    width, wide = (
        need(shapes, f"video_encoder.layer1.0.{name}.conv.weight", "video_encoder")[0] for name in ("conv1", "conv3")
    )
    if stem[1] not in (3, 5):
        raise WeightsError(f"The weights of video_encoder take {stem[1]} channels; 3 or 5 are known.")
    return {
        "base_channels": stem[0],
        "expansion": wide // width,
        "stage_blocks": tuple(count(shapes, rf"video_encoder\.layer{i + 1}\.(\d+)\.") for i in range(stages)),
        "stem_temporal_kernel": stem[2],
        "stem_spatial_kernel": stem[3],
        "temporal_kernels": tuple(
            need(shapes, f"video_encoder.layer{i + 1}.0.conv1.conv.weight", "video_encoder")[2] for i in range(stages)
        ),
        "frame_differences": stem[1] == 5,
        "feature_dim": need(shapes, "video_project_head.weight", "video_encoder")[0],
    }


def local_features_config(shapes: Shapes) -> dict:
    hidden_dim, feature_dim = need(shapes, "trans_cvap_feature.fc1.weight", "local_features")
    local_dim, window_dim = need(shapes, "pre_onset.l1.weight", "local_features")
    windows = presets.LOCAL_FEATURES["paper"]["windows"]
    seen = window_dim // local_dim - 1
    if seen not in (0, len(windows)):
        raise WeightsError(f"The weights of local_features join {seen} windows; 0 or {len(windows)} are known.")
    return {
        **presets.LOCAL_FEATURES["paper"],
        "feature_dim": feature_dim,
        "hidden_dim": hidden_dim,
        "local_dim": local_dim,
        "windows": windows[:seen],
    }


def attentive_pool_config(shapes: Shapes) -> dict:
    token_dim, feature_dim = need(shapes, "fc.weight", "attentive_pool")
    tokens = need(shapes, "conv.weight", "attentive_pool")[0]
    return {
        **presets.ATTENTIVE_POOL["paper"],
        "feature_dim": feature_dim,
        "token_dim": token_dim,
        "tokens": tokens,
    }


def vae_config(shapes: Shapes) -> dict:
    """Of an `AutoencoderKL` in diffusers' layout."""
    levels = count(shapes, r"encoder\.down_blocks\.(\d+)\.")
    if not levels:
        raise WeightsError("The weights of vae have no encoder.down_blocks; this is not a file of that part.")
    return {
        "in_channels": need(shapes, "encoder.conv_in.weight", "vae")[1],
        "out_channels": need(shapes, "decoder.conv_out.weight", "vae")[0],
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "block_out_channels": tuple(
            need(shapes, f"encoder.down_blocks.{i}.resnets.0.conv1.weight", "vae")[0] for i in range(levels)
        ),
        "layers_per_block": count(shapes, r"encoder\.down_blocks\.0\.resnets\.(\d+)\."),
        "latent_channels": need(shapes, "post_quant_conv.weight", "vae")[0],
        "mid_block_add_attention": has(shapes, "encoder.mid_block.attentions."),
        "norm_num_groups": 32,
    }
