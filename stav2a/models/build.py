"""Untrained parts of a model by name and size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import SpeechT5HifiGan

from stav2a import presets
from stav2a.condition.attentive_pool import AttentivePooling
from stav2a.condition.cavp import CAVPVideoEncoder
from stav2a.condition.image_features.pool import ImagePooling
from stav2a.condition.onset import LocalFeatures
from stav2a.condition.pretrained import HubVideoEncoder
from stav2a.condition.reference_pool import ReferencePooling
from stav2a.denoise.control import TemporalControlNet
from stav2a.sound.vae import build_vae
from stav2a.sound.vocoder import build_vocoder

CLASSES = {
    "video_encoder": CAVPVideoEncoder,
    "local_features": LocalFeatures,
    "attentive_pool": AttentivePooling,
    "unet": UNet2DConditionModel,
    "controlnet": TemporalControlNet,
    "vae": AutoencoderKL,
    "vocoder": SpeechT5HifiGan,
}
OPTIONAL = {  # optional parts
    "image_pool": ImagePooling,
    "reference_pool": ReferencePooling,
    "distilled_unet": UNet2DConditionModel,
}


def build(name: str, model: str, **changes: Any) -> Any:
    """An untrained part of a preset (compact, paper or tiny). The ControlNet is built from its U-Net.

    changes: fields of its configuration that differ from the preset
    """
    if name == "vae":
        return build_vae(model)
    if name == "vocoder":
        return build_vocoder(model)
    table = {
        "video_encoder": presets.VIDEO_ENCODER,
        "local_features": presets.LOCAL_FEATURES,
        "attentive_pool": presets.ATTENTIVE_POOL,
        "unet": presets.UNET,
    }
    return CLASSES[name](**{**table[name][model], **changes})


def open_video_encoder(folder: str | Path) -> CAVPVideoEncoder | HubVideoEncoder:
    """The video encoder that lies in a folder: CAVP's, or a pretrained one of transformers."""
    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    kind = HubVideoEncoder if config.get("_class_name") == HubVideoEncoder.__name__ else CAVPVideoEncoder
    return kind.from_pretrained(folder)


def build_image_pool(model: str, network: str) -> ImagePooling:
    """Untrained pooling of a pretrained image network's features into as many tokens as the attentive pooling has."""
    sizes = presets.ATTENTIVE_POOL[model]
    return ImagePooling(**{name: sizes[name] for name in ("token_dim", "tokens", "dropout")}, network=network)


def build_reference_pool(model: str) -> ReferencePooling:
    """Untrained pooling of a reference's latents into as many tokens as the attentive pooling has."""
    sizes, timeline = presets.ATTENTIVE_POOL[model], presets.TIMELINES[model]
    latent_dim = timeline.latent_channels * timeline.latent_bins
    return ReferencePooling(latent_dim, sizes["token_dim"], sizes["tokens"])


def build_controlnet(unet: UNet2DConditionModel, model: str) -> TemporalControlNet:
    channels = presets.LOCAL_FEATURES[model]["local_dim"] + presets.ONSET_CHANNELS[model]
    return TemporalControlNet.from_unet(unet, conditioning_channels=channels)
