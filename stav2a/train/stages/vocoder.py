"""Stage `vocoder`: HiFi-GAN (paper §III-B) on crops of real recordings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor, nn

from stav2a.sound import vae as mel_vae
from stav2a.sound.mel import log_mel
from stav2a.sound.stft_distance import stft_distance
from stav2a.sound.vocoder import build_vocoder, vocode, vocoder_config, widened
from stav2a.train.runtime.config import TrainConfig, checked_chance
from stav2a.train.runtime.parts import trained
from stav2a.train.runtime.stage import Stage, noise_for, uniform_for
from stav2a.train.sources.mixtures import Mixtures, SoundOptions
from stav2a.train.stages.discriminators import RESOLUTIONS, Discriminators


@dataclass
class VocoderOptions(SoundOptions):
    adversarial_after: int = 0  # steps of spectral losses alone before the discriminators join
    discriminator_channels: int = 12
    discriminator_sizes: list = field(default_factory=lambda: list(RESOLUTIONS))  # samples of their transforms
    through_vae: float = 0.0  # share of the crops whose mel-spectrogram passes the VAE of `parts` first, as in use
    spectral_weight: float = 1.0  # of the spectral losses beside the discriminators'
    stft_weight: float = 1.0  # of the STFT distance among them: it dislikes noise, whose bins no network can foretell
    repetition_weight: float = 0.0  # of what repeats itself every few mel frames, unlike the real sound


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
        self.vocoder = widened(self.vocoder, vocoder_config(config.model, self.timeline).model_in_dim)
        self.vocoder.train()
        if not found:
            enliven(self.vocoder)
        self.discriminators = Discriminators.of_waveforms(
            self.options.discriminator_channels, self.options.discriminator_sizes
        )
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
            repeated = repetition_distance(real, fake, self.timeline.hop_length)
        loss = self.options.spectral_weight * (4 * mel_distance + self.options.stft_weight * spectral)
        loss = loss + self.options.repetition_weight * repeated
        out = {"mel": mel_distance.detach(), "stft": spectral.detach(), "repetition": repeated.detach()}
        if adversarial and self.training:
            fooling, matching = self.discriminators.judge(real, fake)
            loss = loss + fooling + 2 * matching
            out |= {"adversarial": fooling.detach(), "matching": matching.detach()}
        return {"loss": loss, **out}

    @torch.no_grad()
    def given(self, mel: Tensor, index: Tensor) -> Tensor:
        """What the vocoder is to sound like `mel` from: Tensor[B, M, C], some of it coded and decoded, with noise."""
        if self.vae is not None:
            coded = mel_vae.reconstructed(self.vae, mel)
            chosen = uniform_for(index, self.config.seed, "through vae")[:, 0].to(mel.device) < self.options.through_vae
            mel = torch.where(chosen[:, None, None], coded, mel)
        channels = self.vocoder.config.model_in_dim - mel.shape[2]
        noise = noise_for(index, (mel.shape[1], channels), self.config.seed, "vocoder noise")
        return torch.cat([mel, noise.to(mel)], 2)

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


def repetition_distance(real: Tensor, fake: Tensor, hop_length: int, frames: int = 8) -> Tensor:
    """Mean squared difference of the autocorrelations after 1/2, 1, 3/2, … `frames` mel frames; [B, S] each -> scalar.

    A grain that returns every few frames costs nothing in a mel-spectrogram, and is heard as a tone in noise.
    """
    lags = torch.arange(1, 2 * frames + 1, device=real.device) * hop_length // 2

    def correlation(wave: Tensor) -> Tensor:
        wave = wave - wave.mean(1, keepdim=True)
        power = torch.fft.rfft(wave, 2 * wave.shape[1]).abs().square()
        found = torch.fft.irfft(power)
        return found[:, lags] / (found[:, :1] + 1e-4 * wave.shape[1])  # silence has none

    return (correlation(real) - correlation(fake)).square().mean()
