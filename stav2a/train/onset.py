"""Stage `onset`: the onset pretext task (paper §II-B1, eq. 1) on rendered clips with exact event times."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from stav2a.condition.onset import onset_labels
from stav2a.data.foleyworld.world import FoleyWorld
from stav2a.presets import TIMELINES

from .config import TrainConfig
from .parts import build, trained
from .stage import Stage


class OnsetStage(Stage):
    """Trains the local features, and the video encoder with them unless `options.freeze_encoder` is set.

    `options.label_delay_s` (0.03): detected onsets of real sounds come that much after the visible contact.
    `options.onset_weight` (3): weight of the rare class.
    """

    name = "onset"

    def __init__(self, config: TrainConfig):
        super().__init__(config)
        self.timeline = TIMELINES[config.model]
        options = config.options
        self.delay_s = float(options.get("label_delay_s", 0.03))
        if options.get("freeze_encoder", False):
            self.video_encoder = self.freeze(trained(config.parts, "video_encoder"))
        elif (Path(config.parts) / "video_encoder").is_dir():
            self.video_encoder = trained(config.parts, "video_encoder")
        else:
            self.video_encoder = build("video_encoder", config.model)
        self.local_features = build("local_features", config.model)
        self.register_buffer("class_weight", torch.tensor([1.0, float(options.get("onset_weight", 3.0))]))
        self.worlds = {
            split: FoleyWorld(
                config.bank or None,
                config.sprites or None,
                split,
                config.seed,
                config.crop_s,
                self.timeline.fps,
                self.timeline.frame_size,
                length=2**31,
            )
            for split in ("train", "val")
        }

    def sample(self, split: str, index: int) -> dict[str, Tensor]:
        world = self.worlds[split]
        plan = world.plan(index)
        frames = world.frames(index, plan)
        steps = round(len(frames) * self.timeline.latent_rate / self.timeline.fps)
        times = [time + self.delay_s for time in plan.score.onsets_s]
        return {
            "frames": torch.from_numpy(frames),
            "labels": torch.from_numpy(onset_labels(times, steps, self.timeline.step_s)),
        }

    def forward(self, batch: dict[str, Tensor], phase: str = "main") -> dict[str, Tensor]:
        pixels = batch["frames"].permute(0, 4, 1, 2, 3).float() / 255
        _, logits = self.local_features(self.video_encoder(pixels))
        logits = logits[:, : batch["labels"].shape[1]]
        loss = functional.cross_entropy(logits.transpose(1, 2), batch["labels"], weight=self.class_weight)
        picked = logits.detach().argmax(-1)
        hits = (picked & batch["labels"]).sum().float()
        return {
            "loss": loss,
            "precision": hits / picked.sum().clamp(min=1),
            "recall": hits / batch["labels"].sum().clamp(min=1),
        }

    def export(self, folder: Path) -> None:
        self.video_encoder.save_pretrained(folder / "video_encoder")
        self.local_features.save_pretrained(folder / "local_features")
