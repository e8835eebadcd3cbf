"""Stage `alignment`: TA-V2A's classifier P_φ(y | z_t, t, E_v), for guidance by its gradient (its eq. 11).

Half of the pairs match; a quarter have the video rolled in time, a quarter the video of another clip.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.stage import noise_for, uniform_for
from stav2a.train.stages.systems import SystemStage


class AlignmentStage(SystemStage):
    """Options: `SystemStage`'s (no U-Net is trained). Follows `ta-v2a`, whose folder of parts it completes."""

    system_name = "ta-v2a"

    def __init__(self, config: TrainConfig):
        super().__init__(config, "alignment")
        self.freeze(self.unet)
        self.freeze(self.system)
        self.frozen.remove(self.system)  # its evaluation mode would reach the classifier, which learns
        self.system.aligner.requires_grad_(True)

    def forward(self, batch: dict, phase: str = "main") -> dict[str, Tensor]:
        latents, index, seed = self.latents(batch["waveform"]), batch["index"], self.config.seed
        features = self.features(batch, latents.shape[2])
        chance = uniform_for(index, seed, "pairs", 3).to(latents.device)
        pairs, labels = mismatched(features, chance)
        noise = noise_for(index, latents.shape[1:], seed, "noise").to(latents)
        timesteps = (chance[:, 2] * self.scheduler.config.num_train_timesteps).long()
        logits = self.system.aligner(self.scheduler.add_noise(latents, noise, timesteps), timesteps, pairs)
        loss = functional.binary_cross_entropy_with_logits(logits, labels)
        return {"loss": loss, "accuracy": ((logits > 0) == labels.bool()).float().mean()}

    def listen(self, folder: Path) -> dict[str, float]:
        return {}

    def export(self, folder: Path) -> None:
        self.system.save_pretrained(folder / "ta-v2a")


def mismatched(features: Tensor, chance: Tensor) -> tuple[Tensor, Tensor]:
    """Tensor[B, T, C], uniform Tensor[B, >= 2] -> features that belong to the item's sound or not, labels Tensor[B].

    In a batch of one all wrong pairs are rolled, by at least a quarter of their length.
    """
    count, steps = features.shape[:2]
    labels = (chance[:, 0] < 0.5).to(features)
    rows = []
    for k, (kind, amount) in enumerate(chance[:, :2].tolist()):
        if kind < 0.5:
            rows.append(features[k])
        elif kind < 0.75 or count == 1:
            rows.append(features[k].roll(round(steps * (0.25 + amount / 2)), 0))
        else:
            rows.append(features[(k + 1 + int(amount * (count - 1))) % count])
    return torch.stack(rows), labels
