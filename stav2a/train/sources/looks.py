"""What the pretrained eyes see in stored clips, looked at once and kept beside them."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stav2a.condition.eyes import shared_eyes
from stav2a.condition.eyes.network import FEATURE_DIM, look_rows
from stav2a.generation.processes import Processes
from stav2a.train.sources.clips import CachedClips
from stav2a.train.sources.prepared import PreparedWorld


class LooksAtClips:
    """plan -> `eye_features` Tensor[N, 1280], N looks at the stretch, of clips rendered beforehand or prepared.

    The file `eyes-NAME-RATE.npy`, float16 [looks, 1280], holds the clips' looks one after another: the middles of
    equal parts of each. Of prepared clips each selection (split, filter) has a file of its own.
    """

    def __init__(self, world: CachedClips | PreparedWorld, eyes: str, looks_per_s: float):
        self.world, self.looks_per_s = world, looks_per_s
        cached = isinstance(world, CachedClips)
        self.fps = world.fps if cached else world.timeline.fps
        self.folder: Path = world.world.folder if cached else world.shards.folder
        self.lengths = self._lengths()
        looks = [len(look_rows(length, self.fps, looks_per_s)) for length in self.lengths]
        self.starts = np.concatenate([[0], np.cumsum(looks)])
        name = f"eyes-{eyes}-{looks_per_s:g}" + ("" if cached else f"-{self._selection():08x}")
        file = self.folder / f"{name}.npy"
        if not file.is_file() or len(np.load(file, mmap_mode="r")) < self.starts[-1]:
            self._write(file, eyes)
        self.features = np.load(file, mmap_mode="r")

    def __call__(self, plan) -> Tensor:
        rows = [self._row(clip, frame) for clip, frame in self._places(plan)]
        return torch.from_numpy(self.features[rows].astype(np.float32))

    def _row(self, clip: int, frame: int) -> int:
        """The look at the part of the clip that the frame lies in."""
        looks = self.starts[clip + 1] - self.starts[clip]
        return int(self.starts[clip] + min(frame * looks // self.lengths[clip], looks - 1))

    def _places(self, plan) -> Iterator[tuple[int, int]]:
        """(clip, frame) of every look at the stretch."""
        wanted = self.world.frames_wanted
        rows = look_rows(wanted, self.fps, self.looks_per_s)
        if isinstance(self.world, CachedClips):
            yield from ((plan.clip, plan.first + row) for row in rows)
            return
        before = 0
        for piece in plan.pieces:
            inside = (row - before for row in rows if before <= row < before + piece.count)
            yield from ((piece.clip, piece.first + int(row * piece.rate)) for row in inside)
            before += piece.count

    def _lengths(self) -> list[int]:
        """Frames of each clip."""
        if isinstance(self.world, CachedClips):
            return [len(self.world.world.frames(0))] * len(self.world)
        notes = (self.world.shards.note(clip) for clip in range(len(self.world)))
        return [max(1, round(note["duration_s"] * self.fps)) for note in notes]

    def _selection(self) -> int:
        """A number for which of the prepared clips these are."""
        keys = [self.world.shards.note(clip)["key"] for clip in range(len(self.world))]
        return zlib.crc32("\n".join(keys).encode())

    def _frames(self, clip: int) -> np.ndarray:
        """uint8 [T_v, H, W, 3]."""
        return self.world.world.frames(clip) if isinstance(self.world, CachedClips) else self.world.shards.frames(clip)

    def _write(self, file: Path, eyes: str) -> None:
        """Each process of a training looks at its share of the clips."""
        processes = Processes()
        part = file.with_name(f"{file.stem}-{processes.gather(os.getpid())[0]}.part")
        if processes.is_first:
            np.lib.format.open_memmap(part, "w+", np.float16, (int(self.starts[-1]), FEATURE_DIM))
        processes.wait()  # the file is there
        written = np.lib.format.open_memmap(part, "r+")
        network = shared_eyes(eyes)
        for clip in processes.share(range(len(self.lengths))):
            frames = self._frames(clip)
            rows = look_rows(self.lengths[clip], self.fps, self.looks_per_s)
            pictures = torch.from_numpy(np.stack([frames[min(row, len(frames) - 1)] for row in rows]))
            written[self.starts[clip] : self.starts[clip + 1]] = network.see(pictures).features.half().numpy()
            if clip % 500 == 0:
                print(f"looks: {clip} of {len(self.lengths)} clips", flush=True)
        written.flush()
        processes.wait()  # all shares are written
        if processes.is_first:
            part.replace(file)
        processes.wait()
