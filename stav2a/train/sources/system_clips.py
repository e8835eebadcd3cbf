"""Samples of a system from clips rendered in advance: features are computed once, sound is mixed for every sample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from stav2a.train.runtime.config import checked_chance
from stav2a.train.runtime.stage import seed_of
from stav2a.train.sources.clips import CachedClips


class SystemClips:
    """`sample(index)` -> features, waveform and caption.

    encode_frames: frames of a whole clip -> Tensor[T, C]. The features are stored beside the clips on first use. Their
    file name has `made_of`, a digest of the weights that computed them.
    concat: probability that a crop joins the beginning of one clip and the end of another (VTA-LDM §5.5).
    """

    def __init__(
        self, clips: CachedClips, encode_frames: Callable[[Tensor], Tensor], made_of: str, concat: float = 0.0
    ):
        self.clips, self.encode_frames, self.concat = clips, encode_frames, checked_chance("concat", concat)
        self.file = clips.world.folder / f"seen-{made_of}-{len(clips)}.npy"
        self.made: np.ndarray | None = None

    def sample(self, index: int) -> dict:
        rng = np.random.default_rng(seed_of(self.clips.seed, "concat", index))
        whole = self.clips.frames_wanted
        if rng.random() >= self.concat or whole < 2:
            return self._stretch(index)
        first = round(whole * rng.uniform(0.25, 0.75))
        other = int(rng.integers(len(self.clips))) + (index // len(self.clips) + 1) * len(self.clips)
        start, end = self._stretch(index), self._stretch(other)
        captions = dict.fromkeys(filter(None, (start["caption"], end["caption"])))
        cut = first * len(start["waveform"]) // whole
        return {
            "features": torch.cat([start["features"][:first], end["features"][first:]]),
            "waveform": torch.cat([start["waveform"][:cut], end["waveform"][cut:]]),
            "caption": ", then ".join(captions),
        }

    def _stretch(self, index: int) -> dict:
        plan = self.clips.plan(index)
        sound = self.clips.sound(index, plan=plan)
        features = self.features()[plan.clip, plan.first : plan.first + self.clips.frames_wanted]
        return {
            "features": torch.from_numpy(features.astype(np.float32)),
            "waveform": torch.from_numpy(sound.waveform),
            "caption": sound.caption,
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
                seen = self.encode_frames(torch.from_numpy(np.array(self.clips.world[k].frames))).half().cpu().numpy()
                if rows is None:
                    rows = np.lib.format.open_memmap(part, "w+", np.float16, (len(self.clips), *seen.shape))
                rows[k] = seen
                if k % 500 == 0:
                    print(f"features: {k} of {len(self.clips)} clips", flush=True)
            rows.flush()
            part.rename(self.file)
        return np.load(self.file, mmap_mode="r")
