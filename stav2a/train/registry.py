"""The training stages by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from stav2a import systems

if TYPE_CHECKING:
    from stav2a.train.runtime.config import TrainConfig
    from stav2a.train.runtime.stage import Stage

STAGES = {
    "vae": ("stav2a.train.stages.vae", "VAEStage"),
    "vocoder": ("stav2a.train.stages.vocoder", "VocoderStage"),
    "video": ("stav2a.train.stages.video", "VideoStage"),
    "onset": ("stav2a.train.stages.onset", "OnsetStage"),
    "t2a": ("stav2a.train.stages.diffusion", "T2AStage"),
    "v2a": ("stav2a.train.stages.table_three", "VariedV2A"),
    "distill": ("stav2a.train.stages.distill", "DistillStage"),
    "classifier": ("stav2a.train.stages.classifier", "ClassifierStage"),
}
OF_SYSTEMS = {  # what a system trains before or after its diffusion stage, which bears the system's name
    "tiva-layout": ("stav2a.train.stages.tiva_layout", "TiVALayoutStage"),
    "cvalp": ("stav2a.train.stages.cvalp", "CVALPStage"),
    "alignment": ("stav2a.train.stages.alignment", "AlignmentStage"),
}


def make_stage(name: str, config: TrainConfig) -> Stage:
    """The stage of that name. Its options choose the source of clips (`clip_source.py`).

    New weights follow the setting `seed`.
    """
    import torch

    torch.manual_seed(config.seed)
    if name in systems_trained():
        from stav2a.train.stages.systems import SystemStage

        return SystemStage(config, name)
    module, kind = {**STAGES, **OF_SYSTEMS}[name]
    return getattr(import_module(module), kind)(config)


def systems_trained() -> list[str]:
    """Systems whose training stage has their name. STA-V2A's is `v2a`, T2A's `t2a`; `recorded` has none."""
    others = [name for name in systems.names() if name != systems.OWN and name not in STAGES]
    return [name for name in others if systems.declared(name).generates]
