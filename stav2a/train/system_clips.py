"""Clips rendered beforehand as a system's samples: what it sees in each is computed once, its sound mixed anew."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from stav2a.timeline import Timeline

from .clips import CachedClips
from .config import TrainConfig
from .stage import seed_of


class SystemClips:
    """`sample(index)` -> features, waveform and caption.

    look: frames of a whole clip -> its features Tensor[T, C]; they lie in a file beside the clips, made when first
    needed, whose name holds `made_of`: what computed them.
    With the chance `options.concat` a stretch is the beginning of one clip and the end of another (VTA-LDM §5.5).
    """

    def __init__(self, config: TrainConfig, timeline: Timeline, look: Callable[[Tensor], Tensor], made_of: str):
        if not timeline.is_framewise:
            raise ValueError("options.cache needs a model with one video frame a latent step.")
        options = config.options
        self.clips = CachedClips(options["cache"], config.crop_s, config.seed, limit=options.get("cache_clips"))
        self.world = self.clips.live_world(config.bank, config.sprites)
        self.per_frame, self.seed = timeline.samples_per_latent, config.seed
        self.concat = float(options.get("concat", 0.0))
        if not 0 <= self.concat <= 1:
            raise ValueError(f"options.concat is {self.concat}; it must be a chance in [0, 1].")
        self.look, self.made = look, None
        self.file = self.clips.world.folder / f"seen-{made_of}-{len(self.clips)}.npy"

    def sample(self, index: int) -> dict:
        rng = np.random.default_rng(seed_of(self.seed, "concat", index))
        whole = self.clips.frames_wanted
        if rng.random() >= self.concat or whole < 2:
            return self._stretch(index)
        first = round(whole * rng.uniform(0.25, 0.75))
        other = int(rng.integers(len(self.clips))) + (index // len(self.clips) + 1) * len(self.clips)
        start, end = self._stretch(index), self._stretch(other)
        captions = dict.fromkeys(filter(None, (start["caption"], end["caption"])))
        cut = first * self.per_frame
        return {
            "features": torch.cat([start["features"][:first], end["features"][first:]]),
            "waveform": torch.cat([start["waveform"][:cut], end["waveform"][cut:]]),
            "caption": ", then ".join(captions),
        }

    def _stretch(self, index: int) -> dict:
        clip, first, _ = self.clips.place(index)
        waveform, caption = self.clips.heard(self.world, index, self.per_frame)
        features = self.features()[clip, first : first + self.clips.frames_wanted]
        return {
            "features": torch.from_numpy(features.astype(np.float32)),
            "waveform": torch.from_numpy(waveform),
            "caption": caption,
        }

    def features(self) -> np.ndarray:
        """float16 [clips, T, C] of all clips."""
        if self.made is None:
            self.made = self._open()
        return self.made

    def _open(self) -> np.ndarray:
        if not self.file.is_file():
            part = self.file.with_suffix(".part.npy")
            rows = None
            for k in range(len(self.clips)):
                seen = self.look(torch.from_numpy(np.array(self.clips.world[k].frames))).half().cpu().numpy()
                if rows is None:
                    rows = np.lib.format.open_memmap(part, "w+", np.float16, (len(self.clips), *seen.shape))
                rows[k] = seen
                if k % 500 == 0:
                    print(f"features: {k} of {len(self.clips)} clips", flush=True)
            rows.flush()
            part.rename(self.file)
        return np.load(self.file, mmap_mode="r")
