"""Sources of a stage's clips: rendered on demand, rendered in advance, or prepared.

All three have FoleyWorld's interface: `plan(i)` says what happens in sample `i` and when (`plan.score.onsets_s`),
`frames(i, plan)` is its picture and `sound(i, plan=plan)` its waveform and caption. Sample `i` of a split is the
same in every process and order, so that a resumed run is exact.

| options             | training split                             | validation split |
| ------------------- | ------------------------------------------ | ---------------- |
| (none)              | FoleyWorld, each clip when it is needed    | FoleyWorld       |
| `cache` (a folder)  | pictures of `data cache`, other sound      | FoleyWorld       |
| `shards` (a folder) | clips of `data prepare`                    | the same         |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from stav2a.data.foleyworld.world import FoleyWorld
from stav2a.sound.onsets import HEARD_AFTER_S
from stav2a.timeline import Timeline
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.sources.clips import CachedClips
from stav2a.train.sources.prepared import PreparedWorld


@dataclass
class ClipOptions:
    shards: str | None = None  # folder of prepared clips
    cache: str | None = None  # folder of clips rendered beforehand
    cache_clips: int | None = None  # the first so many of them alone
    filter: bool = True  # leave out prepared clips that the filters of §III-A mark; false: the row "w/o Filter"
    concat: float = 0.0  # chance that two clips are joined,
    stretch: float = 0.0  # that one runs slower or faster
    label_delay_s: float | None = None  # of onsets; null: by the source (`label_delay_s`)


class ClipSource(Protocol):
    """Samples of one split, which has no end."""

    def __len__(self) -> int: ...

    def plan(self, i: int): ...

    def frames(self, i: int, plan=None) -> np.ndarray:
        """uint8 [T_v, H, W, 3]."""

    def sound(self, i: int, variant: int = 0, plan=None):
        """With `waveform`, float32 [S], and `caption`."""


def clip_sources(
    config: TrainConfig, options: ClipOptions, timeline: Timeline, pictures: bool = True
) -> dict[str, ClipSource]:
    """The training and the validation split of a configuration; pictures: whether the stage uses frames."""
    if options.shards:
        worlds = {split: prepared(config, options, timeline, split) for split in ("train", "val")}
        if pictures:
            for world in worlds.values():
                world.must_see()
        return worlds
    sources: dict[str, ClipSource] = {split: rendered(config, timeline, split) for split in ("train", "val")}
    if options.cache:
        if not timeline.is_framewise:
            raise ValueError("options.cache needs a model with one video frame a latent frame.")
        limit = options.cache_clips
        sources["train"] = CachedClips(
            options.cache, config.crop_s, config.seed, limit=limit, bank=config.bank, sprites=config.sprites
        )
    return sources


def rendered(config: TrainConfig, timeline: Timeline, split: str) -> FoleyWorld:
    """FoleyWorld with clips as long as the training crops, at the model's frame rate and size."""
    return FoleyWorld(
        config.bank or None,
        config.sprites or None,
        split,
        config.seed,
        config.crop_s,
        timeline.fps,
        timeline.frame_size,
        length=2**31,
    )


def prepared(config: TrainConfig, options: ClipOptions, timeline: Timeline, split: str) -> PreparedWorld:
    return PreparedWorld(
        options.shards,
        split,
        timeline,
        config.crop_s,
        config.seed,
        options.filter,
        options.concat,
        options.stretch,
    )


def label_delay_s(options: ClipOptions) -> float:
    """Seconds added to a source's onsets to get labels.

    Onsets of rendered clips are visible contacts. Those of prepared clips were detected in the sound, which is later.
    """
    if options.label_delay_s is not None:
        return options.label_delay_s
    return 0.0 if options.shards else HEARD_AFTER_S
