"""The stages on prepared clips (`options.shards`): the same losses on other samples.

`prepared_worlds` says which options they share.
"""

from __future__ import annotations

import numpy as np
import torch

from .clips import varied
from .config import TrainConfig
from .diffusion import T2AStage
from .features import digest
from .listening import listen
from .onset import OnsetStage
from .prepared import PreparedWorld, prepared_worlds
from .stage import seed_of
from .table_three import VariedV2A


class ClipsOnset(OnsetStage):
    """Onset pseudo-labels of the sound (eq. 1); they say when something is heard, so none is delayed."""

    def __init__(self, config: TrainConfig):
        super().__init__(config)
        self.delay_s = float(config.options.get("label_delay_s", 0.0))
        self.worlds = prepared_worlds(config, self.timeline)
        self.heard_clips = min(self.heard_clips, len(self.worlds["val"]))

    def sample(self, split: str, index: int) -> dict:
        world = self.worlds[split]
        plan = world.plan(index)
        frames = world.frames(index, plan)
        if split == "train":
            frames = varied(frames, np.random.default_rng(seed_of(self.config.seed, "light", index)))
        return {
            "frames": torch.from_numpy(np.ascontiguousarray(frames)),
            "labels": torch.from_numpy(self.labels(plan.onsets_s, len(frames))),
        }


class OnClips:
    """Gives a diffusion stage prepared clips for its worlds."""

    def world(self, split: str) -> PreparedWorld:
        if not hasattr(self, "_prepared"):
            self._prepared = prepared_worlds(self.config, self.timeline)
        return self._prepared[split]


class HeardT2A(T2AStage):
    """Validation writes sounds to listen to (`options.heard_clips`, 4)."""

    def listen(self, folder) -> dict[str, float]:
        return listen(self, folder, int(self.config.options.get("heard_clips", 4)))


class ClipsT2A(OnClips, HeardT2A):
    """Captions and sounds of prepared clips."""


class ClipsV2A(OnClips, VariedV2A):
    """Features stored with the clips where the same encoder made them, else computed from the frames.

    Networks run in `forward`, not in `sample`: a loader's processes must not touch the GPU.
    """

    def __init__(self, config: TrainConfig):
        super().__init__(config)
        self.delay_s = float(config.options.get("label_delay_s", 0.0))
        world = self.worlds["train"]
        self.stored = world.stretch == 0 and world.shards.settings["features"] == digest(self.video_encoder)

    def sample(self, split: str, index: int) -> dict:
        world = self.worlds[split]
        plan = world.plan(index)
        if self.stored:
            seen = {"cavp_features": torch.from_numpy(world.cavp_features(plan))}
        else:
            seen = {"frames": torch.from_numpy(world.frames(index, plan))}
        return {
            **seen,
            "waveform": torch.from_numpy(world.sound(index, plan=plan).waveform),
            "caption": plan.caption,
            "curve": self.curve(plan.onsets_s, index),
        }

    @torch.no_grad()
    def seen(self, batch: dict) -> dict:
        cavp = batch.get("cavp_features")
        if cavp is None:
            cavp = self.video_encoder(batch["frames"].permute(0, 4, 1, 2, 3).float() / 255)
        return {**batch, "cavp_features": cavp, "local_features": self.local_features(cavp)[0]}
