"""Mel VAE: mel [B, 1, M, mel_bins] <-> latents [B, 8, T, F], a quarter of each.

diffusers' `AutoencoderKL`; the compact one has a larger decoder (`MelVAE`), because the decoder is what is heard.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.vae import Decoder
from torch import Tensor

from stav2a.presets import VAE

MEL_MEAN, MEL_SCALE = -6.0, 3.5  # of log-mels of real recordings


class MelVAE(AutoencoderKL):
    """`AutoencoderKL` whose decoder has a width and a depth of its own.

    The encoder works in training alone, where it meets every sample; what a sound is made of is decided by the decoder.
    """

    @register_to_config
    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        down_block_types: tuple[str, ...] = ("DownEncoderBlock2D",) * 3,
        up_block_types: tuple[str, ...] = ("UpDecoderBlock2D",) * 3,
        block_out_channels: tuple[int, ...] = (16, 32, 64),
        layers_per_block: int = 1,
        decoder_block_out_channels: tuple[int, ...] = (32, 64, 128),
        decoder_layers_per_block: int = 1,
        decoder_norm_num_groups: int = 16,
        latent_channels: int = 8,
        norm_num_groups: int = 8,
        sample_size: int = 1024,
        scaling_factor: float = 1.0,
        mid_block_add_attention: bool = False,
        act_fn: str = "silu",
        shift_factor: float | None = None,
        latents_mean: tuple[float, ...] | None = None,
        latents_std: tuple[float, ...] | None = None,
        force_upcast: bool = True,
        use_quant_conv: bool = True,
        use_post_quant_conv: bool = True,
    ):
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            down_block_types=down_block_types,
            up_block_types=up_block_types,
            block_out_channels=block_out_channels,
            layers_per_block=layers_per_block,
            latent_channels=latent_channels,
            norm_num_groups=norm_num_groups,
            sample_size=sample_size,
            scaling_factor=scaling_factor,
            mid_block_add_attention=mid_block_add_attention,
            act_fn=act_fn,
            shift_factor=shift_factor,
            latents_mean=latents_mean,
            latents_std=latents_std,
            force_upcast=force_upcast,
            use_quant_conv=use_quant_conv,
            use_post_quant_conv=use_post_quant_conv,
        )
        self.decoder = Decoder(
            in_channels=latent_channels,
            out_channels=out_channels,
            up_block_types=up_block_types,
            block_out_channels=decoder_block_out_channels,
            layers_per_block=decoder_layers_per_block,
            norm_num_groups=decoder_norm_num_groups,
            act_fn=act_fn,
            mid_block_add_attention=mid_block_add_attention,
        )


def build_vae(name: str) -> AutoencoderKL:
    """An untrained VAE. The log-mel's mean and scale are folded into its first and last convolution."""
    kind = MelVAE if "decoder_block_out_channels" in VAE[name] else AutoencoderKL
    vae = kind(
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


def open_vae(folder: str | Path) -> AutoencoderKL:
    """A VAE's own folder, whichever of the two classes it is of."""
    name = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8")).get("_class_name")
    return (MelVAE if name == MelVAE.__name__ else AutoencoderKL).from_pretrained(folder)


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
