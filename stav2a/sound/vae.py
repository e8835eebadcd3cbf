"""Mel VAE (diffusers' `AutoencoderKL`): mel [B, 1, M, mel_bins] <-> latents [B, 8, T, F], a quarter of each."""

from __future__ import annotations

import re

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from stav2a.presets import VAE

MEL_MEAN, MEL_SCALE = -6.0, 3.5  # of log-mels of real recordings


def build_vae(name: str) -> AutoencoderKL:
    """An untrained VAE. The log-mel's mean and scale are folded into its first and last convolution."""
    vae = AutoencoderKL(
        in_channels=1,
        out_channels=1,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=8,
        sample_size=1024,
        scaling_factor=1.0,
        **VAE[name],
    )
    with torch.no_grad():
        first, last = vae.encoder.conv_in, vae.decoder.conv_out
        first.weight /= MEL_SCALE
        first.bias -= MEL_MEAN * first.weight.sum((1, 2, 3))
        last.weight *= MEL_SCALE
        last.bias.mul_(MEL_SCALE).add_(MEL_MEAN)
    return vae


def encode(vae: AutoencoderKL, mel: Tensor) -> Tensor:
    """Mean latents, scaled to unit variance: mel Tensor[B, 1, M, mel_bins] -> Tensor[B, C, T, F]."""
    return vae.encode(mel).latent_dist.mean * vae.config.scaling_factor


def decode(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Tensor[B, C, T, F] -> log-mel Tensor[B, 1, M, mel_bins]."""
    return vae.decode(latents / vae.config.scaling_factor).sample


def reconstructed(vae: AutoencoderKL, mel: Tensor) -> Tensor:
    """log-mel Tensor[B, M, mel_bins] through the latents and back."""
    return decode(vae, encode(vae, mel[:, None]))[:, 0]


_RENAMES = (  # AudioLDM's original layout -> diffusers; the decoder's levels count the other way
    (r"^(encoder|decoder)\.norm_out\.", r"\1.conv_norm_out."),
    (r"^encoder\.down\.(\d)\.block\.(\d)\.", r"encoder.down_blocks.\1.resnets.\2."),
    (r"^encoder\.down\.(\d)\.downsample\.", r"encoder.down_blocks.\1.downsamplers.0."),
    (r"^decoder\.up\.(\d)\.block\.(\d)\.", r"decoder.up_blocks.\1.resnets.\2."),
    (r"^decoder\.up\.(\d)\.upsample\.", r"decoder.up_blocks.\1.upsamplers.0."),
    (r"\.nin_shortcut\.", r".conv_shortcut."),
    (r"\.mid\.block_1\.", r".mid_block.resnets.0."),
    (r"\.mid\.block_2\.", r".mid_block.resnets.1."),
    (r"\.mid\.attn_1\.norm\.", r".mid_block.attentions.0.group_norm."),
    (r"\.mid\.attn_1\.([qkv])\.", r".mid_block.attentions.0.to_\1."),
    (r"\.mid\.attn_1\.proj_out\.", r".mid_block.attentions.0.to_out.0."),
)


def from_audioldm_layout(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keys of AudioLDM's first stage (without its prefix and vocoder) -> `AutoencoderKL`'s keys."""
    levels = 1 + max((int(m[1]) for key in state_dict if (m := re.match(r"decoder\.up\.(\d)\.", key))), default=0)
    renamed = {}
    for key, value in state_dict.items():
        for pattern, replacement in _RENAMES:
            key = re.sub(pattern, replacement, key)
        key = re.sub(r"^decoder\.up_blocks\.(\d)", lambda m: f"decoder.up_blocks.{levels - 1 - int(m[1])}", key)
        if ".attentions." in key and value.ndim == 4:  # 1x1 convolutions there, linear layers here
            value = value[:, :, 0, 0]
        renamed[key] = value
    return renamed
