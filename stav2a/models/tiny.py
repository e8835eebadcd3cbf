"""The debug model: every part with random weights, for end-to-end tests."""

from __future__ import annotations

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from transformers import AutoTokenizer, BertConfig, BertModel

from stav2a import presets
from stav2a.condition import text
from stav2a.condition.attentive_pool import AttentivePooling
from stav2a.condition.cavp import CAVPVideoEncoder
from stav2a.condition.onset import LocalFeatures
from stav2a.denoise.control import TemporalControlNet
from stav2a.models.defaults import TINY_DEFAULTS
from stav2a.sound.vae import build_vae
from stav2a.sound.vocoder import build_vocoder


def tiny_components(seed: int = 0) -> dict:
    """Arguments of `STAV2APipeline`: small parts with random weights that are the same on every machine."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = AutoTokenizer.from_pretrained(text.minilm_source())
        unet = UNet2DConditionModel(**presets.UNET["tiny"])
        controlnet = TemporalControlNet.from_unet(
            unet,
            conditioning_channels=presets.LOCAL_FEATURES["tiny"]["local_dim"] + presets.ONSET_CHANNELS["tiny"],
        )
        for name, parameter in controlnet.named_parameters():  # zero weights would make its control a dead one
            if name.startswith(("controlnet_down", "controlnet_mid", "controlnet_cond")) and parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.3)
        vocoder = build_vocoder("tiny")
        for name, parameter in vocoder.named_parameters():  # transformers' initial weights are near zero: silence
            if name.endswith("weight"):
                torch.nn.init.kaiming_uniform_(parameter)
        parts = {
            "video_encoder": CAVPVideoEncoder(**presets.VIDEO_ENCODER["tiny"]),
            "local_features": LocalFeatures(**presets.LOCAL_FEATURES["tiny"]),
            "attentive_pool": AttentivePooling(**presets.ATTENTIVE_POOL["tiny"]),
            "text_encoder": BertModel(
                BertConfig(
                    vocab_size=len(tokenizer),
                    hidden_size=presets.UNET["tiny"]["cross_attention_dim"],
                    num_hidden_layers=1,
                    num_attention_heads=2,
                    intermediate_size=32,
                )
            ),
            "unet": unet,
            "controlnet": controlnet,
            "vae": build_vae("tiny"),
            "vocoder": vocoder,
        }
    return {
        **{name: part.eval() for name, part in parts.items()},
        "tokenizer": tokenizer,
        "scheduler": DDPMScheduler(**presets.SCHEDULER["tiny"]),
        "timeline": presets.TIMELINES["tiny"].to_dict(),
        "defaults": TINY_DEFAULTS,
    }
