"""Clips rendered beforehand (`data cache`), as stretches of a training's length."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from stav2a.data.foleyworld.cache import CachedWorld
from stav2a.data.foleyworld.world import FoleyWorld
from stav2a.data.soundbank import SoundBank
from stav2a.timeline import Timeline

from .config import TrainConfig
from .stage import seed_of


class CachedClips:
    """Sample `i` -> a clip of the cache and the frame its stretch starts at.

    Each pass over the cache takes the clips in another order and each stretch at another place. Pictures come
    from the disk; sound can be mixed anew (`live_world`), so that one picture is heard with many recordings.
    `limit`: use the first clips only.
    """

    def __init__(self, folder: str | Path, crop_s: float, seed: int, split: str = "train", limit: int | None = None):
        self.world = CachedWorld(folder)
        self.count = min(len(self.world), limit or len(self.world))
        self.split, self.seed = split, seed
        if self.world.options["split"] != split:
            raise ValueError(f"{folder} holds clips of the {self.world.options['split']} split, not of {split}.")
        self.fps = self.world.options["fps"]
        self.frames_wanted = round(crop_s * self.fps)
        self.spare = round(self.world.options["duration_s"] * self.fps) - self.frames_wanted
        if self.spare < 0:
            raise ValueError(f"The clips of {folder} are shorter than {crop_s} s.")

    def __len__(self) -> int:
        return self.count

    def place(self, index: int) -> tuple[int, int, int]:
        """-> (clip, first frame, pass over the cache)."""
        turn, position = divmod(index, len(self))
        order = np.random.default_rng(seed_of(self.seed, "order", turn))
        clip = int(order.permutation(len(self))[position])
        rng = np.random.default_rng(seed_of(self.seed, "stretch", index))
        return clip, int(rng.integers(0, self.spare + 1)), turn

    def onsets_s(self, clip: int, first: int) -> list[float]:
        """Visible contacts of audible events inside the stretch, from its beginning."""
        start, length = first / self.fps, self.frames_wanted / self.fps
        times = (e["time_s"] - start for e in self.world.clips[clip][2]["events"] if e["audible"])
        return sorted(time for time in times if 0 <= time < length)

    def frames(self, clip: int, first: int) -> np.ndarray:
        """uint8 [T_v, H, W, 3]."""
        return np.asarray(self.world[clip].frames[first : first + self.frames_wanted])

    def live_world(self, bank: str, sprites: str) -> FoleyWorld:
        """The world the clips were rendered from, to mix other sounds for the same pictures."""
        o = self.world.options
        source = SoundBank(bank, self.split) if bank else None
        return FoleyWorld(
            source,
            sprites or None,
            self.split,
            o["seed"],
            o["duration_s"],
            o["fps"],
            o["size"],
            length=2**31,
            scenes=tuple(o["scenes"]) if o["scenes"] else None,
        )

    def heard(self, world: FoleyWorld, index: int, samples_per_frame: int) -> tuple[np.ndarray, str]:
        """Waveform float32 [S] and caption of stretch `index`, mixed by `live_world`; each pass has another take."""
        clip, first, turn = self.place(index)
        sound = world.sound(clip + self.world.options["start"], variant=turn + 1)
        return sound.waveform[
            first * samples_per_frame : (first + self.frames_wanted) * samples_per_frame
        ], sound.caption


def rendered_world(config: TrainConfig, timeline: Timeline, split: str) -> FoleyWorld:
    """An endless world of clips as long as a training's crops, at the model's rate and size."""
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


def varied(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same happening under another light: mirrored half the time, other contrast, brightness and tint."""
    if rng.random() < 0.5:
        frames = frames[:, :, ::-1]
    grey = np.arange(256, dtype=np.float32) / 255
    gamma = np.exp(rng.normal(0, 0.25)) * np.exp(rng.normal(0, 0.06, 3))
    gain, lift = np.exp(rng.normal(0, 0.15)), rng.normal(0, 0.05)
    tables = np.clip((grey[:, None] ** gamma * gain + lift) * 255, 0, 255).astype(np.uint8)
    flat = np.ascontiguousarray(frames).reshape(len(frames), -1, 3)
    return cv2.LUT(flat, tables[None]).reshape(frames.shape)
