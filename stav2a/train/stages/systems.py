"""The stage of every system except STA-V2A: trains U-Net and system together, on the data and with the loss of `v2a`.

The systems differ only in `stav2a/systems`. All start from the text-pretrained U-Net, so that equal budgets are cheap.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from stav2a.condition.in_time import fitted, stretched
from stav2a.condition.patches import level_width
from stav2a.condition.pretrained import HubVideoEncoder
from stav2a.denoise.conditions import Conditions
from stav2a.denoise.frame_conditions import FrameConditions
from stav2a.models.defaults import DEFAULTS
from stav2a.sound.mel import log_mel
from stav2a.systems import find
from stav2a.systems.base import System, TrainingBatch, Widths
from stav2a.train.runtime.config import TrainConfig, checked_chance
from stav2a.train.runtime.options import nearest
from stav2a.train.runtime.parts import note_default, trained
from stav2a.train.runtime.stage import uniform_for
from stav2a.train.runtime.start import attending_finely, widened
from stav2a.train.sources.clips import CachedClips
from stav2a.train.sources.features import digest
from stav2a.train.sources.system_clips import SystemClips
from stav2a.train.stages.diffusion import T2AOptions, T2AStage


@dataclass
class SystemOptions(T2AOptions):
    drop_video: float = 0.1  # chance that the picture is dropped, and the caption where guidance drops both
    sampling: dict | None = None  # defaults of the checkpoint (`models.defaults.DEFAULTS`), such as its paper's steps
    drop_both: float | None = None  # that both are dropped where guidance can drop each; null: 0.1 there, else 0


class SystemStage(T2AStage):
    """Further options: those of the system (`System.Options`)."""

    Options = SystemOptions
    options: SystemOptions

    sees = True

    def __init__(self, config: TrainConfig, name: str):
        self.name = name
        super().__init__(config)
        options, kind = config.options, find(self.system_name)
        kept = Path(config.parts) / self.system_name
        found = (kept / "config.json").is_file()
        self.video_encoder = self.freeze(trained(config.parts, "video_encoder"))
        self.system = kind.from_pretrained(kept) if found else self.new_system(kind)
        self.unet = widened(self.unet, self.system.extra_channels)
        check_sampling(self.options.sampling or {})
        self.drop_video = checked_chance("drop_video", self.options.drop_video)
        both = self.options.drop_both
        self.drop_both = checked_chance("drop_both", (0.0 if kind.joint else 0.1) if both is None else both)
        for part in kind.frozen(options):
            self.freeze(getattr(self.system, part))
        self.clips = None
        if isinstance(self.worlds["train"], CachedClips):
            self.clips = SystemClips(self.worlds["train"], self.encode_frames, self.made_of(), self.options.concat)

    def first_unet(self) -> UNet2DConditionModel:
        """With attention at half the latents' resolution for a system that was begun, or begins, with `time_bias`."""
        kept = Path(self.config.parts) / self.system_name / "config.json"
        begun = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else self.config.options
        unet = super().first_unet()
        return attending_finely(unet) if begun.get("time_bias") else unet

    def new_system(self, kind: type[System]) -> System:
        """An untrained system with the widths of the parts that it connects to."""
        widths = Widths(
            self.video_encoder.config.feature_dim,
            level_width(self.video_encoder),
            self.text_encoder.config.hidden_size,
            self.unet.config.cross_attention_dim,
        )
        return kind.sized(self.config.model, self.config.options, widths)

    def others_options(self) -> tuple[type, ...]:
        return (find(self.system_name).Options,)

    @property
    def system_name(self) -> str:
        """The system to train, by default the name of the stage."""
        return self.name

    @property
    def sees_in_bf16(self) -> bool:
        """Whether a pretrained network sees, in a run of that precision. This project's own encoder stays in fp32."""
        encoders = (self.video_encoder, *(getattr(self.system, part) for part in self.system.encoders))
        return self.config.precision == "bf16" and any(isinstance(each, HubVideoEncoder) for each in encoders)

    def made_of(self) -> str:
        """A name for the weights and settings that `encode_frames` depends on."""
        weights = digest(self.video_encoder, *(getattr(self.system, part) for part in self.system.encoders))
        settings = json.dumps({name: self.system.config[name] for name in self.system.encodes_by})
        settings += "bf16" if self.sees_in_bf16 else ""
        return f"{self.system_name}-{weights}-{hashlib.blake2b(settings.encode(), digest_size=4).hexdigest()}"

    @torch.no_grad()
    def encode_frames(self, frames: Tensor) -> Tensor:
        """uint8 Tensor[T_v, H, W, 3] -> features of a clip, Tensor[T, C], one row per latent frame."""
        with torch.autocast(self.video_encoder.device.type, torch.bfloat16, enabled=self.sees_in_bf16):
            features = self.system.encode_frames(frames, self.video_encoder)
        return stretched(features[None], self.timeline.latent_rate / self.timeline.fps)[0]

    def sample(self, split: str, index: int) -> dict:
        if split == "train" and self.clips is not None:
            return self.clips.sample(index)
        world = self.worlds[split]
        plan = world.plan(index)
        sound = world.sound(index, plan=plan)
        return {
            "frames": torch.from_numpy(np.ascontiguousarray(world.frames(index, plan))),
            "waveform": torch.from_numpy(sound.waveform),
            "caption": sound.caption,
        }

    def features(self, batch: dict, steps: int) -> Tensor:
        """Features of a batch at the length of the latents: Tensor[B, steps, C].

        Networks run here, not in the workers of a data loader.
        """
        seen = batch.get("features")
        if seen is None:
            seen = torch.stack([self.encode_frames(frames) for frames in batch["frames"]])
        return fitted(seen, steps)

    def forward(self, batch: dict, phase: str = "main") -> dict[str, Tensor]:
        latents = self.latents(batch["waveform"])
        conditions, losses = self.conditions(batch, latents)
        diffusion = self.loss(latents, conditions, None, batch["index"])
        return {"loss": diffusion + sum(losses.values()), **{name: value.detach() for name, value in losses.items()}}

    def conditions(self, batch: dict, latents: Tensor) -> tuple[Conditions, dict[str, Tensor]]:
        """Conditions of a batch with captions and pictures dropped, and the system's own losses."""
        features = self.features(batch, latents.shape[2])
        chance = uniform_for(batch["index"], self.config.seed, "drop video", 2)
        both = chance[:, 1] < self.drop_both
        seen = (chance[:, 0] >= self.drop_video) & ~both
        silent = ~seen if self.system.joint else both  # dropped together, as in guidance
        seen = seen.to(features)
        mel = log_mel(batch["waveform"], self.timeline)
        learning = TrainingBatch(features, self.text(batch, gone=silent), mel, self.config.options)
        conditions, losses = self.system.training_conditions(learning)
        if isinstance(conditions, FrameConditions):
            conditions = replace(conditions, has_video=seen)
        return conditions, losses

    def heard_conditions(self, batch: dict, steps: int) -> Conditions:
        """Conditions of validation clips as the pipeline would make them."""
        return self.system(self.features(batch, steps), self.encode_text(list(batch["caption"])))

    def export(self, folder: Path) -> None:
        super().export(folder)
        self.system.save_pretrained(folder / self.system_name)
        for name, value in (self.options.sampling or {}).items():
            note_default(folder, name, value)
        if self.system.has_positions:  # later positions are not trained
            note_default(folder, "window_steps", self.timeline.latent_length(self.config.crop_s))


def check_sampling(given: dict) -> None:
    """`ValueError` for an unknown sampling default, with the most similar known one."""
    for name in given:
        if name not in DEFAULTS:
            raise ValueError(f"options.sampling has no {name}; {nearest(name, DEFAULTS)}")
