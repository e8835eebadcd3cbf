"""Stage `vae`: mel-spectrogram auto-encoder (paper §II-A), L1 and KL on crops of real recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stav2a.presets import TIMELINES
from stav2a.sound.mel import log_mel
from stav2a.sound.vae import build_vae

from .config import TrainConfig
from .mixtures import Mixtures
from .stage import Stage, noise_for


class VAEStage(Stage):
    name = "vae"

    def __init__(self, config: TrainConfig):
        super().__init__(config)
        self.timeline = TIMELINES[config.model]
        self.kl_weight = float(config.options.get("kl_weight", 1e-4))
        self.vae = build_vae(config.model)
        self.mixtures = Mixtures(config, self.timeline)

    def sample(self, split: str, index: int) -> dict[str, Tensor]:
        return {"waveform": torch.from_numpy(self.mixtures(split, index))}

    def forward(self, batch: dict[str, Tensor], phase: str = "main") -> dict[str, Tensor]:
        mel = log_mel(batch["waveform"], self.timeline)[:, None]
        posterior = self.vae.encode(mel).latent_dist
        noise = noise_for(batch["index"], posterior.mean.shape[1:], self.config.seed, "vae").to(mel)
        latents = posterior.mean + posterior.std * noise
        reconstruction = (self.vae.decode(latents).sample - mel).abs().mean()
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        return {
            "loss": reconstruction + self.kl_weight * kl,
            "l1": reconstruction.detach(),
            "kl": kl.detach(),
            "latent_std": posterior.mean.detach().std(),
        }

    @torch.no_grad()
    def export(self, folder: Path) -> None:
        """Write the VAE with the scale that gives its latents unit variance over validation mixtures."""
        waves = np.stack([self.mixtures("val", index) for index in range(32)])
        mel = log_mel(torch.from_numpy(waves).to(self.vae.device), self.timeline)[:, None]
        std = self.vae.encode(mel).latent_dist.mean.std()
        self.vae.register_to_config(scaling_factor=round(float(1 / std), 5))
        self.vae.save_pretrained(folder / "vae")
