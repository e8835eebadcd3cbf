"""Reference sounds of training samples: the same events, heard from other recordings."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from stav2a.data.foleyworld.world import FoleyWorld
from stav2a.pipeline.recordings import at_start_peak
from stav2a.train.runtime.stage import seed_of
from stav2a.train.sources.clip_source import ClipSource
from stav2a.train.sources.clips import CachedClips

AUDIBLE = 0.05  # peak below which a stretch is background alone


class References:
    """Sample -> `reference` float32 [S] and `has_reference`, true with the given chance where anything is heard.

    Re-AudioLDM (arXiv 2309.08051) trains with the recordings nearest to the target other than the target. So does this:
    the sample's events are mixed anew from the recordings nearest to its own (`BankSource.apart_from`). The sound is
    rolled in time, so that it does not tell when the events are.
    """

    def __init__(self, world: ClipSource, chance: float, seed: int):
        if chance and not isinstance(world, FoleyWorld | CachedClips):
            raise ValueError("options.reference needs rendered clips: prepared ones have no other recordings.")
        self.world, self.chance, self.seed = world, chance, seed

    def __call__(self, index: int, plan, sound) -> dict[str, Tensor]:
        """plan, sound: the plan and the sound of sample `index`."""
        rng = np.random.default_rng(seed_of(self.seed, "reference", index))
        waveform, there = np.zeros_like(sound.waveform), rng.random() < self.chance
        if there:
            other = self.world.sound(index, variant=1, plan=plan, apart_from=sound.recordings).waveform
            there = np.abs(other).max() >= AUDIBLE
            waveform = at_start_peak(np.roll(other, rng.integers(len(other)))) if there else waveform
        return {"reference": torch.from_numpy(waveform), "has_reference": torch.tensor(bool(there))}
