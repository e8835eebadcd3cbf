"""Stages `t2a` and `v2a`: the latent diffusion model (paper §II-C, eq. 6).

`t2a` trains the U-Net on captions alone; `v2a` starts from it and trains U-Net, ControlNet and attentive pooling
together, as the paper found best. Everything random follows the sample's index.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import DDPMScheduler
from torch import Tensor

from stav2a.condition import text
from stav2a.condition.onset import onset_curve
from stav2a.data.foleyworld.world import FoleyWorld
from stav2a.denoise.conditions import Conditions
from stav2a.denoise.loss import diffusion_loss, target
from stav2a.denoise.sample import Guidance, predict
from stav2a.presets import SCHEDULER, TIMELINES
from stav2a.sound import vae as mel_vae
from stav2a.sound.mel import log_mel

from .clips import CachedClips, rendered_world
from .config import TrainConfig
from .features import ClipFeatures
from .parts import build, build_controlnet, text_parts, trained
from .stage import Stage, noise_for, seed_of, uniform_for
from .start import begin


class T2AStage(Stage):
    """Options: `snr_gamma` (5; null for none), `drop_text` (0.1), `base` (folder of parts that `parts` is filled from),
    `unet` (folder of the U-Net to start from; default: the one in `parts`), `shared_unet` (beginnings of names in the
    U-Net that stay as they are, because several systems share them; none).
    """

    name = "t2a"

    def __init__(self, config: TrainConfig):
        super().__init__(config)
        begin(config)
        self.timeline = TIMELINES[config.model]
        self.snr_gamma = config.options.get("snr_gamma", 5.0)
        self.drop_text = float(config.options.get("drop_text", 0.1))
        self.scheduler = DDPMScheduler(**SCHEDULER[config.model])
        self.vae = self.freeze(trained(config.parts, "vae"))
        self.tokenizer, text_encoder = text_parts(config.model)
        self.text_encoder = self.freeze(text_encoder)
        found = (Path(config.parts) / "unet" / "config.json").is_file()
        self.unet = trained(config.parts, "unet") if found else build("unet", config.model)
        if shared := tuple(config.options.get("shared_unet") or ()):
            for name, parameter in self.unet.named_parameters():
                parameter.requires_grad_(not name.startswith(shared))
        self.worlds = {split: self.world(split) for split in ("train", "val")}

    def world(self, split: str) -> FoleyWorld:
        return rendered_world(self.config, self.timeline, split)

    def sample(self, split: str, index: int) -> dict:
        heard = self.worlds[split].sound(index)
        return {"waveform": torch.from_numpy(heard.waveform), "caption": heard.caption}

    def forward(self, batch: dict, phase: str = "main") -> dict[str, Tensor]:
        latents = self.latents(batch["waveform"])
        loss = self.loss(latents, self.text(batch), None, batch["index"])
        return {"loss": loss}

    @torch.no_grad()
    def latents(self, waveform: Tensor) -> Tensor:
        return mel_vae.encode(self.vae, log_mel(waveform, self.timeline)[:, None])

    def text(self, batch: dict) -> Conditions:
        """Captions, some dropped: the empty caption stands for none, as it does in guidance."""
        chance = uniform_for(batch["index"], self.config.seed, "drop text")[:, 0]
        kept = ["" if u < self.drop_text else c for u, c in zip(chance, batch["caption"], strict=True)]
        tokens, mask = text.encode(self.tokenizer, self.text_encoder, kept)
        return Conditions(tokens, mask, tokens, mask)

    def loss(self, latents: Tensor, conditions: Conditions, controlnet, index: Tensor) -> Tensor:
        seed, steps = self.config.seed, self.scheduler.config.num_train_timesteps
        noise = noise_for(index, latents.shape[1:], seed, "noise").to(latents)
        timesteps = (uniform_for(index, seed, "timestep")[:, 0] * steps).long().to(latents.device)
        noisy = self.scheduler.add_noise(latents, noise, timesteps)
        prediction = predict(self.unet, controlnet, noisy, timesteps, conditions, Guidance())
        wanted = target(self.scheduler, latents, noise, timesteps)
        return diffusion_loss(self.scheduler, prediction, wanted, timesteps, self.snr_gamma)

    def export(self, folder: Path) -> None:
        self.unet.save_pretrained(folder / "unet")


class V2AStage(T2AStage):
    """Options besides: `drop_video` (0.1, each of tokens, local features and curve on its own), `freeze_unet`,
    `label_delay_s` (0.03: the curve holds onsets as they are detected, that much after the visible contact),
    `cache` (folder of clips rendered beforehand; their features are computed once) and `cache_clips` (the first
    so many of them alone).

    The onset curve that is learned from is mostly true, sometimes jittered, thinned or empty, and sometimes the
    local features are rolled in time against it: a generator that trusts only perfect or only matching onsets
    fails on predicted and on edited ones.
    """

    name = "v2a"

    def __init__(self, config: TrainConfig):
        super().__init__(config)
        options = config.options
        self.drop_video = float(options.get("drop_video", 0.1))
        self.delay_s = float(options.get("label_delay_s", 0.03))
        if options.get("freeze_unet", False):
            self.freeze(self.unet)
        self.video_encoder = self.freeze(trained(config.parts, "video_encoder"))
        self.local_features = self.freeze(trained(config.parts, "local_features"))
        self.attentive_pool = build("attentive_pool", config.model)
        self.controlnet = build_controlnet(self.unet, config.model)
        self.clips = None
        if options.get("cache"):
            if not self.timeline.is_framewise:
                raise ValueError("options.cache needs a model with one video frame a latent step.")
            self.clips = CachedClips(options["cache"], config.crop_s, config.seed, limit=options.get("cache_clips"))
            self.features = ClipFeatures(self.clips, self.video_encoder, self.local_features)
            self.clip_world = self.clips.live_world(config.bank, config.sprites)

    def sample(self, split: str, index: int) -> dict:
        return self.cached(index) if split == "train" and self.clips is not None else self.rendered(split, index)

    def rendered(self, split: str, index: int) -> dict:
        clip = self.worlds[split][index]
        pixels = torch.from_numpy(clip.frames).permute(3, 0, 1, 2)[None].float() / 255
        with torch.no_grad():
            cavp = self.video_encoder(pixels.to(self.video_encoder.device))
            local = self.local_features(cavp)[0]
        return {
            "cavp_features": cavp[0],
            "local_features": local[0],
            "waveform": torch.from_numpy(clip.waveform),
            "caption": clip.caption,
            "curve": self.curve(clip.onsets_s, index),
        }

    def cached(self, index: int) -> dict:
        """A picture that was rendered before with another take of its sound on each pass."""
        clip, first, _ = self.clips.place(index)
        cavp, local = self.features(clip, first, self.clips.frames_wanted)
        waveform, caption = self.clips.heard(self.clip_world, index, self.timeline.samples_per_latent)
        return {
            "cavp_features": cavp,
            "local_features": local,
            "waveform": torch.from_numpy(waveform),
            "caption": caption,
            "curve": self.curve(self.clips.onsets_s(clip, first), index),
        }

    def curve(self, onsets_s: list[float], index: int) -> Tensor:
        rng = np.random.default_rng(seed_of(self.config.seed, "onsets", index))
        times = [time + self.delay_s for time in imperfect(onsets_s, rng)]
        length = self.timeline.latent_length(self.config.crop_s)
        return torch.from_numpy(onset_curve(times, length, self.timeline.step_s))

    def forward(self, batch: dict, phase: str = "main") -> dict[str, Tensor]:
        latents = self.latents(batch["waveform"])
        steps = latents.shape[2]
        features, local = batch["cavp_features"], batch["local_features"][:, :steps]
        chance = uniform_for(batch["index"], self.config.seed, "drop video", 5).to(latents.device)
        kept = (chance >= self.drop_video).to(latents.dtype)
        shifts = ((chance[:, 3] < 0.15) * chance[:, 4] * steps).long().tolist()
        local = torch.stack([row.roll(shift, 0) for row, shift in zip(local, shifts, strict=True)])
        words = self.text(batch)
        conditions = Conditions(
            words.text_tokens,
            words.text_mask,
            words.null_text_tokens,
            words.null_text_mask,
            global_tokens=self.attentive_pool(features) * kept[:, 0, None, None],
            local_features=local * kept[:, 1, None, None],
            onset_curve=batch["curve"][:, :steps] * kept[:, 2, None],
        )
        return {"loss": self.loss(latents, conditions, self.controlnet, batch["index"])}

    def export(self, folder: Path) -> None:
        super().export(folder)
        self.controlnet.save_pretrained(folder / "controlnet")
        self.attentive_pool.save_pretrained(folder / "attentive_pool")


def imperfect(onsets_s: list[float], rng: np.random.Generator) -> list[float]:
    """True onsets as a predictor would give them: half the time exact, else jittered, some missed, one added."""
    if rng.random() < 0.5:
        return list(onsets_s)
    times = [t + rng.normal(0, 0.02) for t in onsets_s if rng.random() > 0.08]
    if times and rng.random() < 0.2:
        times.append(float(rng.uniform(0, max(onsets_s) + 0.5)))
    return sorted(times)
