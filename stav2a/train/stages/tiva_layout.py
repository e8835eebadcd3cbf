"""Stage `tiva-layout`: TiVA's layout predictor alone, ‖t_a - t_v‖² (its eq. 8), on the data of the other stages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from stav2a.sound.mel import log_mel
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.stages.systems import SystemStage


class TiVALayoutStage(SystemStage):
    """Options: `SystemStage`'s (no U-Net is trained). `validation/mean_layout` is what the mean layout would score."""

    system_name = "tiva"

    def __init__(self, config: TrainConfig):
        super().__init__(config, "tiva-layout")
        self.freeze(self.unet)
        self.freeze(self.system.semantic)
        self.system.predictor.requires_grad_(True).train()
        self.frozen = [module for module in self.frozen if module is not self.system.predictor]

    def layouts(self, batch: dict) -> tuple[Tensor, Tensor]:
        """t_a of the real sound and t_v of the picture: Tensor[B, M, C] each."""
        mel = log_mel(batch["waveform"], self.timeline)
        steps = mel.shape[1] // self.timeline.mel_per_latent
        return self.system.kind.of(mel, steps), self.system.layout(self.features(batch, steps))

    def forward(self, batch: dict, phase: str = "main") -> dict[str, Tensor]:
        true, predicted = self.layouts(batch)
        loss = functional.mse_loss(predicted, true)
        return {"loss": loss, "mean_layout": functional.mse_loss(true.mean((0, 1)).expand_as(true), true)}

    @torch.no_grad()
    def listen(self, folder: Path) -> dict[str, float]:
        """True (above) and predicted layouts of validation clips as pictures."""
        count = min(4, self.config.batch_size)
        samples = [self.sample("val", index) for index in range(count)]
        device = self.video_encoder.device
        batch = {name: torch.stack([s[name] for s in samples]).to(device) for name in ("frames", "waveform")}
        true, predicted = (x.cpu().numpy() for x in self.layouts(batch))
        folder.mkdir(parents=True, exist_ok=True)
        figure = Figure(figsize=(4 * count, 3))
        for k in range(count):
            for row, layout in enumerate((true[k], predicted[k])):
                axes = figure.add_subplot(2, count, row * count + k + 1)
                axes.imshow(np.flipud(layout.T), aspect="auto", vmin=0, vmax=1)
                axes.set_title("predicted" if row else "real")
        figure.savefig(folder / "layouts.png", dpi=80)
        return {}

    def export(self, folder: Path) -> None:
        self.system.save_pretrained(folder / "tiva")
