"""Stage `onset`: the onset pretext task (paper §II-B1, eq. 1), from exact event times or pseudo-labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from stav2a.condition.cavp import CAVPVideoEncoder
from stav2a.condition.in_time import fitted
from stav2a.condition.onset import LocalFeatures, onset_curve, onset_labels, onset_loss, onset_probability
from stav2a.models.build import build
from stav2a.presets import VIDEO_ENCODER
from stav2a.train.runtime.config import TrainConfig, checked_chance
from stav2a.train.runtime.parts import note_default, trained
from stav2a.train.runtime.stage import Stage, seed_of
from stav2a.train.sources.clip_source import ClipOptions, clip_sources, label_delay_s
from stav2a.train.sources.clips import resized_crop, side_by_side, varied
from stav2a.train.stages.onset_threshold import best_threshold


@dataclass
class OnsetOptions(ClipOptions):
    soft_labels: bool = True  # an onset between two steps is a share of both; false: the step that holds it (eq. 1)
    onset_weight: float = 3.0  # of the rare class; 1: eq. 1 as it stands
    heard_clips: int = 64  # validation clips for the onset F1
    freeze_encoder: bool = False  # the video encoder stays as it is
    frozen_stages: int = 0  # as in mmaction: 1 keeps its stem and first level, a third less time a step; 2 the next too
    fine_tune: bool = False  # continue from the local features in `parts`; false: start new ones
    beside: float = 0.0  # chance that a clip shares its picture with another one, whose onsets count too
    least_crop: float | None = None  # clips are cropped to this share of each side or more: a cache may be larger


class OnsetStage(Stage):
    """Trains the local features, and the video encoder with them unless it is frozen.

    Training continues from a video encoder in `parts`, with missing temporal blocks and spatial peaks added.
    """

    name = "onset"
    Options = OnsetOptions
    options: OnsetOptions

    def __init__(self, config: TrainConfig):
        super().__init__(config)
        self.timeline = config.timeline
        options = self.options
        self.delay_s = label_delay_s(options)
        self.worlds = clip_sources(config, options, self.timeline)
        self.heard_clips = min(options.heard_clips, len(self.worlds["val"]))
        if options.freeze_encoder:
            self.video_encoder = self.freeze(trained(config.parts, "video_encoder"))
        elif (Path(config.parts) / "video_encoder").is_dir():
            self.video_encoder = trained(config.parts, "video_encoder")
            if not isinstance(self.video_encoder, CAVPVideoEncoder):
                raise ValueError(
                    "The video encoder is a pretrained one, which this stage leaves as it is: set "
                    "options.freeze_encoder=true."
                )
            self.video_encoder = grown(self.video_encoder, config.model)
            for module in first_stages(self.video_encoder, options.frozen_stages):
                self.freeze(module)
        else:
            self.video_encoder = build("video_encoder", config.model)
        if options.fine_tune:
            self.local_features = trained(config.parts, "local_features")
        else:
            self.local_features = awakened(local_features_for(self.video_encoder, config))
        checked_chance("beside", options.beside)
        if options.least_crop is not None and not 0 < options.least_crop <= 1:
            raise ValueError(f"options.least_crop is {options.least_crop}; it must be a share in (0, 1].")

    def sample(self, split: str, index: int) -> dict[str, Tensor]:
        world = self.worlds[split]
        plan = world.plan(index)
        frames, onsets_s = world.frames(index, plan), plan.score.onsets_s
        if split == "train":
            rng = np.random.default_rng(seed_of(self.config.seed, "beside", index))
            if rng.random() < self.options.beside:
                other = int(rng.integers(2**31))
                other_plan = world.plan(other)
                frames = side_by_side(frames, world.frames(other, other_plan), rng)
                onsets_s = [*onsets_s, *other_plan.score.onsets_s]
            if self.options.least_crop is not None:
                place = np.random.default_rng(seed_of(self.config.seed, "crop", index))
                frames = resized_crop(frames, self.timeline.frame_size, self.options.least_crop, place)
            frames = varied(frames, np.random.default_rng(seed_of(self.config.seed, "light", index)))
        labels = self.labels(onsets_s)
        return {"frames": torch.from_numpy(np.ascontiguousarray(frames)), "labels": torch.from_numpy(labels)}

    def labels(self, times_s: list[float]) -> np.ndarray:
        """Onset curve, float32 [T], or classes, int64 [T], of a stretch's latent frames."""
        steps = self.timeline.latent_length(self.config.crop_s)
        drawn = onset_curve if self.options.soft_labels else onset_labels
        return drawn([time + self.delay_s for time in times_s], steps, self.timeline.latent_frame_s)

    def forward(self, batch: dict[str, Tensor], phase: str = "main") -> dict[str, Tensor]:
        pixels = batch["frames"].permute(0, 4, 1, 2, 3).float() / 255
        _, logits = self.local_features(self.video_encoder(pixels))
        labels = batch["labels"]
        logits = fitted(logits, labels.shape[1])
        loss = onset_loss(logits.float(), labels, self.options.onset_weight)
        picked, true = logits.detach().argmax(-1).bool(), labels >= 0.5
        near = functional.max_pool1d(labels[:, None].gt(0).float(), 3, 1, 1)[:, 0].bool()
        return {
            "loss": loss,
            "precision": (picked & near).sum().float() / picked.sum().clamp(min=1),
            "recall": (picked & true).sum().float() / true.sum().clamp(min=1),
        }

    @torch.no_grad()
    def listen(self, folder: Path) -> dict[str, float]:
        """Gain over chance and F1 at ±50 ms on validation clips, at the threshold of the largest gain, which stays."""
        curves, times = [], []
        for index in range(self.heard_clips):
            plan = self.worlds["val"].plan(index)
            frames = torch.from_numpy(self.worlds["val"].frames(index, plan))
            pixels = frames.permute(3, 0, 1, 2)[None].to(self.local_features.device).float() / 255
            _, logits = self.local_features(self.video_encoder(pixels))
            curves.append(onset_probability(logits)[0].cpu().numpy())
            times.append([time + self.delay_s for time in plan.score.onsets_s])
        judged = best_threshold(curves, times, self.timeline.latent_frame_s)
        self.threshold = judged.threshold
        return {"onset_gain_50ms": judged.gain, "onset_f1_50ms": judged.f1, "threshold": judged.threshold}

    def cost(self, measures: dict[str, float]) -> float:
        """The best checkpoint has the largest gain over chance: a loss, like F1, can fall by firing everywhere."""
        return -measures["onset_gain_50ms"]

    def export(self, folder: Path) -> None:
        self.video_encoder.save_pretrained(folder / "video_encoder")
        self.local_features.save_pretrained(folder / "local_features")
        note_default(folder, "onset_threshold", self.threshold)


def grown(encoder: CAVPVideoEncoder, model: str) -> CAVPVideoEncoder:
    """The encoder, with the temporal blocks and the spatial peaks of its size's preset where it lacks them."""
    joining = {
        name: VIDEO_ENCODER[model][name]
        for name in ("temporal_dilations", "spatial_peaks")
        if VIDEO_ENCODER[model].get(name) and not encoder.config[name]
    }
    if not joining:
        return encoder
    larger = CAVPVideoEncoder.from_config(encoder.config, **joining)
    larger.load_state_dict({**larger.state_dict(), **encoder.state_dict()})
    return larger


def first_stages(encoder: CAVPVideoEncoder, count: int) -> list[nn.Module]:
    """The stem and the first `count` levels of a video encoder; none of them for 0."""
    slow = encoder.video_encoder
    if not 0 <= count <= slow.levels:
        raise ValueError(f"options.frozen_stages is {count}; this video encoder has {slow.levels} levels.")
    return [slow.conv1, *(getattr(slow, f"layer{level + 1}") for level in range(count))] if count else []


def local_features_for(video_encoder, config: TrainConfig) -> LocalFeatures:
    """Untrained local features on a video encoder's, at a configuration's rates."""
    timeline = config.timeline
    return build(
        "local_features",
        config.model,
        feature_dim=video_encoder.config.feature_dim,
        steps_per_frame=timeline.latent_rate / timeline.fps,
        tail_steps=timeline.latent_frames - timeline.local_frames,
    )


def awakened(local_features: LocalFeatures, prior: float = 0.06) -> LocalFeatures:
    """Weights to start from that let the frames through.

    A unit vector of D features holds values near 1 / sqrt(D), and torch's own start shrinks them further at each
    of six layers: the onset head then sees next to nothing for thousands of steps.
    """
    for layer in local_features.modules():
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    with torch.no_grad():
        local_features.trans_cvap_feature.fc1.weight.mul_(local_features.config.feature_dim**0.5)
        local_features.pre_onset.l2.weight.mul_(0.1)
        local_features.pre_onset.l2.bias[1] = float(np.log(prior / (1 - prior)))
    return local_features
