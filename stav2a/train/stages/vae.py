"""Stage `vae`: mel-spectrogram auto-encoder (paper §II-A), L1, KL and, where asked for, discriminators of patches.

The L1 of log-mels alone is content with the median, and loud bins, which are peaks, come out 4 dB too quiet. The
distance of amplitudes in proportion to the whole (spectral convergence, Arık et al. 2019) weighs what is loud. Both
blur what they cannot know; discriminators ask for texture there (Esser et al. 2021, as AudioLDM's VAE was trained).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stav2a.models import licences
from stav2a.sound.mel import log_mel
from stav2a.sound.vae import build_vae
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.parts import trained
from stav2a.train.runtime.stage import Stage, noise_for
from stav2a.train.sources.mixtures import Mixtures, SoundOptions
from stav2a.train.stages.discriminators import Discriminators


@dataclass
class VAEOptions(SoundOptions):
    kl_weight: float = 1e-4
    convergence_weight: float = 0.3
    decoder_only: bool = False  # go on with the decoder of the VAE in `parts` alone: latents keep their meaning
    fine_tune: bool = False  # go on with the whole of it
    anchor_weight: float = 0.0  # then holds latents to what they were: networks trained on them soon follow
    adversarial_weight: float = 0.0  # of patch discriminators and of their features, which a second phase trains
    adversarial_after: int = 0  # steps
    discriminator_channels: int = 32


class VAEStage(Stage):
    name = "vae"
    Options = VAEOptions
    options: VAEOptions

    def __init__(self, config: TrainConfig):
        super().__init__(config)
        options = self.options
        self.timeline = config.timeline
        self.goes_on = options.decoder_only or options.fine_tune
        self.vae = trained(config.parts, "vae") if self.goes_on else build_vae(config.model)
        if options.decoder_only:
            self.freeze(self.vae.encoder)
            self.freeze(self.vae.quant_conv)
        if options.anchor_weight and (options.decoder_only or not self.goes_on):
            raise ValueError("options.anchor_weight holds the latents of a VAE that options.fine_tune continues.")
        if options.anchor_weight:
            self.before = self.freeze(trained(config.parts, "vae"))
            # kept with the weights, for a run that is resumed finds another VAE in `parts`
            self.register_buffer("scale_before", torch.tensor(float(self.before.config.scaling_factor)))
        if options.adversarial_weight:
            self.phases = ("main", "discriminators")
            self.discriminators = Discriminators.of_mels(options.discriminator_channels)
        self._made: tuple[Tensor, Tensor] | None = None
        self.mixtures = Mixtures(config, options, self.timeline)

    def phase_parameters(self, phase: str) -> list[nn.Parameter]:
        module = self.discriminators if phase == "discriminators" else self.vae
        return [p for p in module.parameters() if p.requires_grad]

    def sample(self, split: str, index: int) -> dict[str, Tensor]:
        return {"waveform": torch.from_numpy(self.mixtures(split, index))}

    def forward(self, batch: dict[str, Tensor], phase: str = "main") -> dict[str, Tensor]:
        judged = int(batch["index"].min()) >= self.options.adversarial_after * self.config.batch_size
        if phase == "discriminators":
            if not judged:  # nothing to learn yet: no gradient, no cost
                return {"loss": 0 * next(self.discriminators.parameters()).sum()}
            return {"loss": self.discriminators.loss(*self._made)}
        mel = log_mel(batch["waveform"], self.timeline)[:, None]
        posterior = self.vae.encode(mel).latent_dist
        noise = noise_for(batch["index"], posterior.mean.shape[1:], self.config.seed, "vae").to(mel)
        latents = posterior.mean + posterior.std * noise
        made = self.vae.decode(latents).sample.float()  # amplitudes of a lower precision would be steps
        reconstruction = (made - mel).abs().mean()
        convergence = spectral_convergence(made, mel)
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        loss = reconstruction + self.options.convergence_weight * convergence + self.options.kl_weight * kl
        out = {
            "l1": reconstruction.detach(),
            "convergence": convergence.detach(),
            "kl": kl.detach(),
            "latent_std": posterior.mean.detach().std(),
        }
        if self.options.anchor_weight:
            drift = (posterior.mean - self.before.encode(mel).latent_dist.mean) * self.scale_before
            drift = drift.square().mean()
            loss = loss + self.options.anchor_weight * drift
            out["drift"] = drift.detach()
        if self.options.adversarial_weight and self.training:
            self._made = (mel, made.detach())
            if judged:
                fooling, matching = self.discriminators.judge(mel, made)
                loss = loss + self.options.adversarial_weight * (fooling + matching)
                out |= {"adversarial": fooling.detach(), "matching": matching.detach()}
        return {"loss": loss, **out}

    @torch.no_grad()
    def export(self, folder: Path) -> None:
        """Write the VAE with the scale that gives its latents unit variance over validation mixtures."""
        if not self.options.decoder_only:
            waves = np.stack([self.mixtures("val", index) for index in range(32)])
            mel = log_mel(torch.from_numpy(waves).to(self.vae.device), self.timeline)[:, None]
            std = self.vae.encode(mel).latent_dist.mean.std()
            self.vae.register_to_config(scaling_factor=round(float(1 / std), 5))
        self.vae.save_pretrained(folder / "vae")
        if not self.goes_on:  # even if the folder has a scale
            licences.note(folder, {"vae": licences.OURS})


def spectral_convergence(made: Tensor, real: Tensor) -> Tensor:
    """‖A - Â‖ / ‖A‖ of mel amplitudes, mean over the batch; log-mels Tensor[B, 1, M, mel_bins]. Silence gives 0 / ε."""
    amplitudes, wanted = made.clamp(max=8).exp(), real.exp()
    return ((amplitudes - wanted).flatten(1).norm(dim=1) / (wanted.flatten(1).norm(dim=1) + 0.05)).mean()
