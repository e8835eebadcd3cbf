"""Stages `t2a` and `v2a`: the latent diffusion model (paper §II-C, eq. 6).

`t2a` trains the U-Net on captions alone; `v2a` starts from it and trains U-Net, ControlNet and attentive pooling
together, as the paper found best. Everything random follows the sample's index.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler, SchedulerMixin, UNet2DConditionModel
from torch import Tensor

from stav2a.condition import text
from stav2a.condition.image_features import shared_network
from stav2a.condition.in_time import fitted
from stav2a.condition.onset import onset_curve, onset_labels, onset_loss
from stav2a.denoise.conditions import Conditions
from stav2a.denoise.loss import diffusion_loss, learning_attention, target
from stav2a.denoise.sample import Guidance, make_sampler, predict
from stav2a.models.build import CLASSES, build, build_controlnet, build_image_pool, build_reference_pool
from stav2a.presets import SCHEDULER
from stav2a.sound import vae as mel_vae
from stav2a.sound.mel import log_mel
from stav2a.train.runtime.config import TrainConfig, checked_chance
from stav2a.train.runtime.listening import listen
from stav2a.train.runtime.parts import note_default, text_parts, trained
from stav2a.train.runtime.stage import Stage, noise_for, seed_of, spread_for, uniform_for
from stav2a.train.runtime.start import CONTROLS, StartOptions, begin, begin_controls
from stav2a.train.sources.clip_source import ClipOptions, ClipSource, clip_sources, label_delay_s
from stav2a.train.sources.clips import CachedClips
from stav2a.train.sources.features import ClipFeatures, digest
from stav2a.train.sources.image_features import StoredImageFeatures
from stav2a.train.sources.prepared import PreparedWorld
from stav2a.train.sources.references import References
from stav2a.train.stages.onset import awakened, local_features_for

HEARD_STEPS = 10  # of what a validation listens to
HEARD_GUIDANCE = 3.0  # the paper's (§III-A)


@dataclass
class T2AOptions(ClipOptions, StartOptions):
    snr_gamma: float | None = 5.0  # γ of Min-SNR; null: the plain loss of eq. 6
    drop_text: float = 0.1  # chance that a caption is dropped
    null_text: str = "empty"  # what stands for it (`condition.text.NULLS`); sampling then takes the same
    trained_unet: list | None = None  # patterns of names in the U-Net that learn, the others rest; null: all learn
    heard_clips: int = 4  # of the validation, to listen to


class T2AStage(Stage):
    name = "t2a"
    sees = False  # whether it looks at pictures
    Options = T2AOptions
    options: T2AOptions

    def __init__(self, config: TrainConfig):
        super().__init__(config)
        begin(config, self.options)
        self.timeline = config.timeline
        checked_chance("drop_text", self.options.drop_text)
        text.check_null(self.options.null_text)
        self.scheduler = DDPMScheduler(**SCHEDULER[config.model])
        self.vae = self.freeze(trained(config.parts, "vae")).to(memory_format=torch.channels_last)  # half the time
        named = self.options.text_encoder
        self.tokenizer, text_encoder = text_parts(config.model, config.parts, self.options.base, name=named)
        self.text_encoder = self.freeze(text_encoder)
        self.unet = self.first_unet()
        self.learns_alone(self.options.trained_unet)
        self.worlds = clip_sources(config, self.options, self.timeline, self.sees)

    def learns_alone(self, patterns: list[str] | None) -> None:
        """Freeze the U-Net but for the names that match. `ValueError` for a pattern that matches none."""
        if patterns is None:
            return
        names = [name for name, _ in self.unet.named_parameters()]
        for pattern in patterns:
            if not fnmatch.filter(names, pattern):
                raise ValueError(f"options.trained_unet: no weight of the U-Net is named {pattern!r}.")
        for name, parameter in self.unet.named_parameters():
            parameter.requires_grad_(any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns))

    def first_unet(self) -> UNet2DConditionModel:
        """The U-Net in `parts`, or a new one; `ValueError` where it is not as wide as `context_width` says."""
        found = (Path(self.config.parts) / "unet" / "config.json").is_file()
        width = self.options.context_width
        changes = {"cross_attention_dim": width} if width else {}
        unet = trained(self.config.parts, "unet") if found else build("unet", self.config.model, **changes)
        if width and unet.config.cross_attention_dim != width:
            raise ValueError(
                f"options.context_width is {width}, and the U-Net in {self.config.parts} takes "
                f"{unet.config.cross_attention_dim}: start anew with options.unet=new in another folder of parts."
            )
        return unet

    def sample(self, split: str, index: int) -> dict:
        sound = self.worlds[split].sound(index)
        return {"waveform": torch.from_numpy(sound.waveform), "caption": sound.caption}

    def forward(self, batch: dict, phase: str = "main") -> dict[str, Tensor]:
        latents = self.latents(batch["waveform"])
        loss = self.loss(latents, self.text(batch), None, batch["index"])
        return {"loss": loss}

    @torch.no_grad()
    def latents(self, waveform: Tensor) -> Tensor:
        return mel_vae.encode(self.vae, log_mel(waveform, self.timeline)[:, None])

    def text(self, batch: dict, gone: Tensor | None = None) -> Conditions:
        """Captions, some dropped and those in `gone`, bool Tensor[B], for certain.

        What stands for a dropped one is what guidance compares with (`null_text`).
        """
        dropped = self.without_caption(batch["index"], gone)
        zeros = self.options.null_text == "zeros"
        kept = ["" if none and not zeros else c for none, c in zip(dropped.tolist(), batch["caption"], strict=True)]
        tokens, mask = text.encode(self.tokenizer, self.text_encoder, kept)
        if zeros:  # the caption's mask stays, as in the authors' training
            tokens = tokens * ~dropped.to(tokens.device)[:, None, None]
        return Conditions(tokens, mask, tokens, mask)

    def without_caption(self, index: Tensor, gone: Tensor | None = None) -> Tensor:
        """Samples whose caption is dropped, and those in `gone`: bool Tensor[B] on the CPU."""
        dropped = uniform_for(index, self.config.seed, "drop text")[:, 0] < self.options.drop_text
        return dropped if gone is None else dropped | gone.to(dropped.device)

    def encode_text(self, captions: list[str]) -> Conditions:
        """Captions and their null half as the pipeline makes them of this checkpoint."""
        tokens, mask = text.encode(self.tokenizer, self.text_encoder, captions, self.vae.device)
        nothing = [""] * len(captions)
        null = text.null(self.options.null_text, self.tokenizer, self.text_encoder, nothing, tokens, mask)
        return Conditions(tokens, mask, *null)

    def loss(self, latents: Tensor, conditions: Conditions, controlnet, index: Tensor) -> Tensor:
        seed, steps = self.config.seed, self.scheduler.config.num_train_timesteps
        noise = noise_for(index, latents.shape[1:], seed, "noise").to(latents)
        timesteps = (spread_for(index, seed, "timestep") * steps).long().to(latents.device)
        noisy = self.scheduler.add_noise(latents, noise, timesteps)
        with learning_attention(latents.device):
            prediction = predict(self.unet, controlnet, noisy, timesteps, conditions, self.guidance())
        wanted = target(self.scheduler, latents, noise, timesteps)
        return diffusion_loss(self.scheduler, prediction, wanted, timesteps, self.options.snr_gamma)

    def guidance(self, scale: float = 1.0) -> Guidance:
        """How a prediction is made: the same in training and in what a validation listens to."""
        return Guidance(scale)

    def sampled_by(self) -> tuple[UNet2DConditionModel, SchedulerMixin, Guidance, int, float]:
        """U-Net, sampler, guidance, number of steps and `timestep_power` of what a validation listens to."""
        return self.unet, make_sampler("dpm++2m", self.scheduler), self.guidance(HEARD_GUIDANCE), HEARD_STEPS, 1.0

    def listen(self, folder: Path) -> dict[str, float]:
        return listen(self, folder, self.options.heard_clips)

    def export(self, folder: Path) -> None:
        self.unet.save_pretrained(folder / "unet")
        note_default(folder, "null_text", self.options.null_text)


@dataclass
class V2AOptions(T2AOptions):
    drop_video: float = 0.05  # chances: each of tokens, image tokens, local features and curve on its own,
    drop_picture: float = 0.1  # all of them together,
    drop_both: float = 0.07  # and with the caption as well; all 0: guidance on text alone (eq. 7)
    freeze_unet: bool = False  # the row CN Frozen
    fine_tune: bool = False  # continue from ControlNet and poolings in `parts` or `base`; false: start from the U-Net
    freeze_control: bool = False  # these rest, for what else learns
    reference: float = 0.0  # chance of a reference sound: the same events from other recordings; 0: no such part
    onset_loss_weight: float = 0.0  # of eq. 1 beside eq. 6; local features and onset head then learn, else rest
    mask_control: bool = True  # the ControlNet sees no padding of the text; false: it does, as the authors'
    image_features: str | None = (
        None  # lite0, lite1 or lite2: tokens of this image network join the global ones, dropped alike
    )


class V2AStage(T2AStage):
    """Guidance subtracts predictions without picture and without anything: dropped one by one, such samples would be
    one in a thousand and one in ten thousand, and what is subtracted would never have been learnt.

    Features of pictures are computed once for clips rendered beforehand and read from prepared clips where the
    same encoder stored them; else from the frames in `seen`: a loader's processes must not touch the GPU.

    The onset curve, where the ControlNet takes one, is mostly true, sometimes jittered, thinned or empty, and
    sometimes the local features are rolled in time against it: a generator that trusts only perfect or only matching
    onsets fails on predicted and on edited ones.
    """

    name = "v2a"
    sees = True
    Options = V2AOptions
    options: V2AOptions

    def __init__(self, config: TrainConfig):
        super().__init__(config)
        for name in ("drop_video", "drop_picture", "drop_both"):
            checked_chance(name, getattr(self.options, name))
        self.delay_s = label_delay_s(self.options)
        if self.options.freeze_unet:
            self.freeze(self.unet)
        self.video_encoder = self.freeze(trained(config.parts, "video_encoder"))
        self.learns_local = self.options.onset_loss_weight > 0
        if self.learns_local and not (Path(config.parts) / "local_features").is_dir():
            self.local_features = awakened(local_features_for(self.video_encoder, config))
        else:
            self.local_features = trained(config.parts, "local_features")
        if not self.learns_local:
            self.freeze(self.local_features)
        self.attentive_pool = build("attentive_pool", config.model, feature_dim=self.video_encoder.config.feature_dim)
        self.controlnet = build_controlnet(self.unet, config.model)
        network = self.options.image_features
        self.image_pool = build_image_pool(config.model, network) if network else None
        chance = checked_chance("reference", self.options.reference)
        self.reference_pool = build_reference_pool(config.model) if chance else None
        self.references = {split: References(world, chance, config.seed) for split, world in self.worlds.items()}
        if self.options.fine_tune:
            self.go_on()
        elif self.options.freeze_control:
            raise ValueError("options.freeze_control is for a ControlNet that options.fine_tune=true continues.")
        self.stored = {split: self.stored_features(world) for split, world in self.worlds.items()}
        self.image_features = {split: self.stored_image_features(world) for split, world in self.worlds.items()}

    def go_on(self) -> None:
        """Continue from the ControlNet and the poolings that there are."""
        begin_controls(self.config, self.options)
        kept = [name for name in CONTROLS if getattr(self, name) is not None]
        for name in kept:
            if name in CLASSES or (Path(self.config.parts) / name).is_dir():
                setattr(self, name, trained(self.config.parts, name).train())
                if self.options.freeze_control and name != "reference_pool":
                    self.freeze(getattr(self, name))

    def stored_features(self, world: ClipSource) -> Callable[[Any], dict[str, Tensor]] | None:
        """plan -> features of a source that keeps those of this encoder."""
        if isinstance(world, CachedClips):
            in_bf16 = self.config.precision == "bf16"
            features = ClipFeatures(world, self.video_encoder, self.local_features, in_bf16)

            def of(plan) -> dict[str, Tensor]:
                cavp, local = features(plan.clip, plan.first, world.frames_wanted)
                return {"cavp_features": cavp, "local_features": local}

            return of
        if isinstance(world, PreparedWorld) and world.stores(digest(self.video_encoder)):
            return lambda plan: {"cavp_features": torch.from_numpy(world.cavp_features(plan))}
        return None

    def stored_image_features(self, world: ClipSource) -> StoredImageFeatures | None:
        """plan -> features of the image network, of a source whose clips are stored."""
        if self.image_pool is None or not isinstance(world, (CachedClips, PreparedWorld)):
            return None
        return StoredImageFeatures(world, self.image_pool.config.network, self.image_pool.config.frames_per_s)

    def sample(self, split: str, index: int) -> dict:
        world, stored, images = self.worlds[split], self.stored[split], self.image_features[split]
        plan = world.plan(index)
        sound = world.sound(index, plan=plan)
        frames = {} if stored else {"frames": torch.from_numpy(np.ascontiguousarray(world.frames(index, plan)))}
        sample = {
            **(stored(plan) if stored else frames),
            **({"image_features": images(plan)} if images else {}),
            **(self.references[split](index, plan, sound) if self.reference_pool is not None else {}),
            "waveform": torch.from_numpy(sound.waveform),
            "caption": sound.caption,
        }
        if self.takes_curve:
            sample["curve"] = self.curve(plan.score.onsets_s, index)
        if self.options.onset_loss_weight:
            times = [time + self.delay_s for time in plan.score.onsets_s]
            labels = onset_labels(times, self.timeline.latent_length(self.config.crop_s), self.timeline.latent_frame_s)
            sample["labels"] = torch.from_numpy(labels)
        return sample

    @property
    def takes_curve(self) -> bool:
        """Whether the ControlNet has a channel for the onset curve beside the local features; the paper's has none."""
        return self.controlnet.config.conditioning_channels > self.local_features.config.local_dim

    def encode_batch(self, batch: dict) -> dict:
        """The batch with what is seen in its pictures: by the frozen networks, or by local features that learn."""
        cavp, local = batch.get("cavp_features"), batch.get("local_features")
        if cavp is None:
            with torch.no_grad():
                cavp = self.video_encoder(batch["frames"].permute(0, 4, 1, 2, 3).float() / 255)
        seen = {**batch, "cavp_features": cavp}
        if self.image_pool is not None and "image_features" not in batch:
            own = self.image_pool.config
            network = shared_network(own.network, str(cavp.device))
            images = [network(frames, self.timeline.fps, own.frames_per_s).features for frames in batch["frames"]]
            seen["image_features"] = torch.stack(images)
        if local is not None and not self.learns_local:
            return seen
        with nullcontext() if self.learns_local else torch.no_grad():
            local, logits = self.local_features(cavp)
        return {**seen, "local_features": local, "onset_logits": logits}

    def global_tokens(self, batch: dict) -> list[Tensor]:
        """e_gv, Tensor[B, K, D], and as many tokens of the image network where the model has them."""
        tokens = [self.attentive_pool(batch["cavp_features"])]
        if self.image_pool is not None:
            tokens.append(self.image_pool(batch["image_features"].to(tokens[0].dtype)))
        return tokens

    def curve(self, onsets_s: list[float], index: int) -> Tensor:
        rng = np.random.default_rng(seed_of(self.config.seed, "onsets", index))
        times = [time + self.delay_s for time in imperfect(onsets_s, rng)]
        length = self.timeline.latent_length(self.config.crop_s)
        return torch.from_numpy(onset_curve(times, length, self.timeline.latent_frame_s))

    def forward(self, batch: dict, phase: str = "main") -> dict[str, Tensor]:
        batch = self.encode_batch(batch)
        latents = self.latents(batch["waveform"])
        steps = latents.shape[2]
        loss = self.loss(latents, self.conditions(batch, steps), self.controlnet, batch["index"])
        if not self.options.onset_loss_weight:
            return {"loss": loss}
        onset = onset_loss(fitted(batch["onset_logits"], steps).float(), fitted(batch["labels"], steps))
        return {
            "loss": loss + self.options.onset_loss_weight * onset,
            "diffusion": loss.detach(),
            "onset": onset.detach(),
        }

    def conditions(self, batch: dict, steps: int) -> Conditions:
        """Conditions of an encoded batch for `steps` latent frames, with parts dropped."""
        local = fitted(batch["local_features"], steps)
        chance = uniform_for(batch["index"], self.config.seed, "drop video", 6).to(local.device)
        both = chance[:, 5] < self.options.drop_both
        seen = chance[:, 5] >= self.options.drop_both + self.options.drop_picture
        kept = ((chance[:, :3] >= self.options.drop_video) & seen[:, None]).to(torch.float32)
        images_kept = uniform_for(batch["index"], self.config.seed, "drop image features")[:, 0].to(local.device)
        tokens_kept = [kept[:, 0], ((images_kept >= self.options.drop_video) & seen).to(kept)]
        curve = None
        if self.takes_curve:
            shifts = ((chance[:, 3] < 0.15) * chance[:, 4] * steps).long().tolist()
            local = torch.stack([row.roll(shift, 0) for row, shift in zip(local, shifts, strict=True)])
            curve = fitted(batch["curve"], steps) * kept[:, 2, None]
        words = self.text(batch, gone=both)
        conditions = Conditions(
            words.text_tokens,
            words.text_mask,
            words.null_text_tokens,
            words.null_text_mask,
            global_tokens=torch.cat(
                [t * k[:, None, None] for t, k in zip(self.global_tokens(batch), tokens_kept, strict=False)], 1
            ),
            local_features=local * kept[:, 1, None, None],
            onset_curve=curve,
        )
        if self.reference_pool is not None:
            kept_too = batch["has_reference"] & ~self.without_caption(batch["index"], both).to(local.device)
            conditions = conditions.with_reference(self.reference_pool(self.latents(batch["reference"])), kept_too)
        return self.left_out(conditions)

    def guidance(self, scale: float = 1.0) -> Guidance:
        return Guidance(scale, mask_control=self.options.mask_control)

    def left_out(self, conditions: Conditions) -> Conditions:
        """The conditions that this model has: all of them, but for rows of Table III."""
        return conditions

    def export(self, folder: Path) -> None:
        super().export(folder)
        if self.learns_local:
            self.local_features.save_pretrained(folder / "local_features")
        note_default(folder, "mask_control", self.options.mask_control)
        self.controlnet.save_pretrained(folder / "controlnet")
        self.attentive_pool.save_pretrained(folder / "attentive_pool")
        if self.image_pool is not None:
            self.image_pool.save_pretrained(folder / "image_pool")
        if self.reference_pool is not None:
            self.reference_pool.save_pretrained(folder / "reference_pool")


def imperfect(onsets_s: list[float], rng: np.random.Generator) -> list[float]:
    """True onsets as a predictor would give them: half the time exact, else jittered, some missed, one added."""
    if rng.random() < 0.5:
        return list(onsets_s)
    times = [t + rng.normal(0, 0.02) for t in onsets_s if rng.random() > 0.08]
    if times and rng.random() < 0.2:
        times.append(float(rng.uniform(0, max(onsets_s) + 0.5)))
    return sorted(times)
