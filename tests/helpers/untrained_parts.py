"""Folders of untrained parts, for trainings that start from them."""

from __future__ import annotations

from pathlib import Path

import torch

from stav2a.models.build import build, build_controlnet

FIRST = ("vae", "vocoder", "video_encoder", "local_features", "unet")  # what `v2a` and the other systems start from


def untrained_parts(folder: Path, model: str = "tiny", controls: bool = False) -> Path:
    """`folder` with untrained parts of a size, the same every time; `controls`: those of STA-V2A as well."""
    torch.manual_seed(0)
    parts = {name: build(name, model) for name in FIRST}
    if controls:
        parts |= {
            "attentive_pool": build("attentive_pool", model),
            "controlnet": build_controlnet(parts["unet"], model),
        }
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    return folder
