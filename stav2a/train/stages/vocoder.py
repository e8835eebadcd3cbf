"""Stage `vocoder`: HiFi-GAN (paper §III-B) on crops of real recordings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor, nn

from stav2a.sound import vae as mel_vae
from stav2a.sound.mel import log_mel
from stav2a.sound.stft_distance import stft_distance
from stav2a.sound.vocoder import build_vocoder, vocode
from stav2a.train.runtime.config import TrainConfig, checked_chance
from stav2a.train.runtime.parts import trained
from stav2a.train.runtime.stage import Stage, uniform_for
from stav2a.train.sources.mixtures import Mixtures, SoundOptions
from stav2a.train.stages.discriminators import Discriminators


@dataclass
class VocoderOptions(SoundOptions):
    adversarial_after: int = 0  # steps of spectral losses alone before the discriminators join
    discriminator_channels: int = 12
    through_vae: float = 0.0  # share of the crops whose mel-spectrogram passes the VAE of `parts` first, as in use
    spectral_weight: float = 1.0  # of the spectral losses beside the discriminators'


class VocoderStage(Stage):
    """Two phases a step: the vocoder's, then the discriminators' on what the vocoder made."""

    name = "vocoder"
    phases = ("vocoder", "discriminators")
    Options = VocoderOptions
    options: VocoderOptions

    def __init__(self, config: TrainConfig):
        super().__init__(config)
        self.timeline = config.timeline
        found = (Path(config.parts) / "vocoder" / "config.json").is_file()
        self.vocoder = trained(config.parts, "vocoder") if found else build_vocoder(config.model, self.timeline)
        self.vocoder.train()
        if not found:
            enliven(self.vocoder)
        self.discriminators = Discriminators.of_waveforms(self.options.discriminator_channels)
        through = checked_chance("through_vae", self.options.through_vae)
        self.vae = self.freeze(trained(config.parts, "vae")) if through else None
        self.mixtures = Mixtures(config, self.options, self.timeline)
        self._made: tuple[Tensor, Tensor] | None = None

    def phase_parameters(self, phase: str) -> list[nn.Parameter]:
        return list((self.vocoder if phase == "vocoder" else self.discriminators).parameters())

    def sample(self, split: str, index: int) -> dict[str, Tensor]:
        return {"waveform": torch.from_numpy(self.mixtures(split, index))}

    def forward(self, batch: dict[str, Tensor], phase: str = "vocoder") -> dict[str, Tensor]:
        adversarial = int(batch["index"].min()) >= self.options.adversarial_after * self.config.batch_size
        if phase == "discriminators":
            if not adversarial:  # nothing to learn yet: no gradient, no cost
                return {"loss": 0 * next(self.discriminators.parameters()).sum()}
            return {"loss": self.discriminators.loss(*self._made)}
        real = batch["waveform"]
        with torch.autocast(real.device.type, enabled=False):
            mel = log_mel(real, self.timeline)
        fake = vocode(self.vocoder, self.given(mel, batch["index"]), real.shape[1]).float()
        self._made = (real, fake.detach())
        with torch.autocast(real.device.type, enabled=False):  # spectra span more than bf16 tells apart
            mel_distance = (log_mel(fake, self.timeline) - mel).abs().mean()
            spectral = stft_distance(real, fake)
        loss = self.options.spectral_weight * (4 * mel_distance + spectral)
        out = {"mel": mel_distance.detach(), "stft": spectral.detach()}
        if adversarial and self.training:
            fooling, matching = self.discriminators.judge(real, fake)
            loss = loss + fooling + 2 * matching
            out |= {"adversarial": fooling.detach(), "matching": matching.detach()}
        return {"loss": loss, **out}

    @torch.no_grad()
    def given(self, mel: Tensor, index: Tensor) -> Tensor:
        """What the vocoder is to sound like `mel` from: Tensor[B, M, mel_bins], some of it coded and decoded."""
        if self.vae is None:
            return mel
        coded = mel_vae.reconstructed(self.vae, mel)
        chosen = uniform_for(index, self.config.seed, "through vae")[:, 0].to(mel.device) < self.options.through_vae
        return torch.where(chosen[:, None, None], coded, mel)

    @torch.no_grad()
    def listen(self, folder: Path) -> dict[str, float]:
        """Eight validation mixtures, real then vocoded, in one file."""
        folder.mkdir(parents=True, exist_ok=True)
        waves = torch.from_numpy(np.stack([self.mixtures("val", index) for index in range(8)]))
        waves = waves.to(self.vocoder.device)
        made = vocode(self.vocoder, log_mel(waves, self.timeline), waves.shape[1])
        pairs = torch.stack([waves, made], 1).flatten().cpu().numpy()
        soundfile.write(folder / "vocoder.wav", pairs.clip(-1, 1), self.timeline.sample_rate)
        return {}

    def export(self, folder: Path) -> None:
        self.vocoder.save_pretrained(folder / "vocoder")


def enliven(vocoder: nn.Module) -> None:
    """transformers draws the convolutions at a spread of 0.01, a start so quiet that training takes long to leave."""
    for module in vocoder.modules():
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            nn.init.kaiming_normal_(module.weight, a=0.1, mode="fan_out" if module.stride[0] > 1 else "fan_in")
            nn.init.zeros_(module.bias)
    for block in vocoder.resblocks:  # residual branches start small: the sum of many stays in range
        for convolution in block.convs2:
            convolution.weight.data.mul_(0.3)
    vocoder.conv_post.weight.data.mul_(0.1)
