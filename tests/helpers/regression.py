"""Small numbers of our own models with rule-made weights, so that arithmetic is checked without the goldens.

`PYTHONPATH=. python tests/helpers/regression.py` writes `regression.json` anew; do that only for a change that means
to change the numbers, and say why in the commit.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from golden import fill

from stav2a import presets
from stav2a.condition.attentive_pool import AttentivePooling
from stav2a.condition.cavp import CAVPVideoEncoder
from stav2a.condition.onset import LocalFeatures
from stav2a.denoise.control import TemporalControlNet
from stav2a.sound import vae as mel_vae
from stav2a.sound.mel import log_mel
from stav2a.sound.vocoder import build_vocoder, vocode
from stav2a.timeline import TINY

STORE = Path(__file__).with_name("regression.json")


def randn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def outputs() -> dict[str, torch.Tensor]:
    """Every part of the tiny model, and the paper's layout of the two parts whose arithmetic differs."""
    frames = randn(1, 1, 3, 6, 32, 32).sigmoid()
    values = {}
    encoder = fill(CAVPVideoEncoder(**presets.VIDEO_ENCODER["tiny"]), "video_encoder.")
    values["cavp_tiny"] = features = encoder(frames)
    paper_layout = {**presets.VIDEO_ENCODER["paper"], "base_channels": 4, "stage_blocks": (1, 1, 1, 1)}
    values["cavp_paper_layout"] = fill(CAVPVideoEncoder(**paper_layout))(frames)
    values["local_tiny"], values["onset_logits_tiny"] = fill(LocalFeatures(**presets.LOCAL_FEATURES["tiny"]))(features)
    paper = fill(LocalFeatures(**{**presets.LOCAL_FEATURES["paper"], "feature_dim": 16}))
    values["local_paper_layout"], _ = paper(randn(2, 1, 8, 16))
    values["global_tokens_tiny"] = fill(AttentivePooling(**presets.ATTENTIVE_POOL["tiny"]))(features)

    unet = fill(UNet2DConditionModel(**presets.UNET["tiny"]), "unet.")
    controlnet = fill(TemporalControlNet.from_unet(unet, conditioning_channels=17), "controlnet.")
    latents, context, control = randn(3, 2, 8, 8, 16), randn(4, 2, 5, 32), randn(5, 2, 8, 17)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    for name, control_mask in (("unet_control_tiny", None), ("unet_control_masked_tiny", mask)):
        pooled = context.mean(1)
        down, mid = controlnet(
            latents, 500, context, control, encoder_attention_mask=control_mask, class_labels=pooled, return_dict=False
        )
        residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": mid}
        values[name] = unet(latents, 500, context, pooled, encoder_attention_mask=mask, **residuals).sample

    vae = fill(mel_vae.build_vae("tiny"), "vae.")
    values["vae_mel_tiny"] = mel = mel_vae.decode(vae, randn(6, 1, 8, 4, 16))
    values["vae_latents_tiny"] = mel_vae.encode(vae, mel)
    values["vocoder_tiny"] = vocode(fill(build_vocoder("tiny"), "vocoder."), randn(7, 1, 6, 64) - 4)
    values["log_mel"] = log_mel(randn(8, 1, 1600) * 0.1, TINY)
    return values


def summary(value: torch.Tensor) -> dict:
    flat = value.double().flatten()
    picked = flat[:: max(1, len(flat) // 8)][:8]
    return {
        "shape": list(value.shape),
        "mean": flat.mean().item(),
        "std": flat.std().item(),
        "picked": picked.tolist(),
    }


if __name__ == "__main__":
    STORE.write_text(json.dumps({name: summary(value) for name, value in outputs().items()}, indent=1) + "\n")
