"""Features of a pretrained image network for stored clips, computed once and kept beside them."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stav2a.condition.image_features import shared_network
from stav2a.condition.image_features.network import FEATURE_DIM, frame_rows
from stav2a.generation.processes import Processes
from stav2a.train.sources.clips import CachedClips
from stav2a.train.sources.prepared import PreparedWorld


class StoredImageFeatures:
    """plan -> `image_features` Tensor[N, 1280], N frames of the stretch, of clips rendered beforehand or prepared.

    The file `image-features-NAME-RATE.npy`, float16 [frames, 1280], holds the clips one after another, of each the
    middle frames of equal parts. Of prepared clips each selection (split, filter) has a file of its own.
    """

    def __init__(self, world: CachedClips | PreparedWorld, network: str, frames_per_s: float):
        self.world, self.frames_per_s = world, frames_per_s
        cached = isinstance(world, CachedClips)
        self.fps = world.fps if cached else world.timeline.fps
        self.folder: Path = world.world.folder if cached else world.shards.folder
        self.lengths = self._lengths()
        counts = [len(frame_rows(length, self.fps, frames_per_s)) for length in self.lengths]
        self.starts = np.concatenate([[0], np.cumsum(counts)])
        name = f"image-features-{network}-{frames_per_s:g}" + ("" if cached else f"-{self._selection():08x}")
        file = self.folder / f"{name}.npy"
        if not file.is_file() or len(np.load(file, mmap_mode="r")) < self.starts[-1]:
            self._write(file, network)
        self.features = np.load(file, mmap_mode="r")

    def __call__(self, plan) -> Tensor:
        rows = [self._row(clip, frame) for clip, frame in self._places(plan)]
        return torch.from_numpy(self.features[rows].astype(np.float32))

    def _row(self, clip: int, frame: int) -> int:
        """The row of the part of the clip that the frame lies in."""
        rows = self.starts[clip + 1] - self.starts[clip]
        return int(self.starts[clip] + min(frame * rows // self.lengths[clip], rows - 1))

    def _places(self, plan) -> Iterator[tuple[int, int]]:
        """(clip, frame) of every encoded frame of the stretch."""
        wanted = self.world.frames_wanted
        rows = frame_rows(wanted, self.fps, self.frames_per_s)
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

    def _write(self, file: Path, name: str) -> None:
        """Each process of a training encodes its share of the clips."""
        processes = Processes()
        part = file.with_name(f"{file.stem}-{processes.gather(os.getpid())[0]}.part")
        if processes.is_first:
            np.lib.format.open_memmap(part, "w+", np.float16, (int(self.starts[-1]), FEATURE_DIM))
        processes.wait()  # the file is there
        written = np.lib.format.open_memmap(part, "r+")
        network = shared_network(name)
        for clip in processes.share(range(len(self.lengths))):
            frames = self._frames(clip)
            rows = frame_rows(self.lengths[clip], self.fps, self.frames_per_s)
            pictures = torch.from_numpy(np.stack([frames[min(row, len(frames) - 1)] for row in rows]))
            written[self.starts[clip] : self.starts[clip + 1]] = network.encode(pictures).features.half().numpy()
            if clip % 500 == 0:
                print(f"image features: {clip} of {len(self.lengths)} clips", flush=True)
        written.flush()
        processes.wait()  # all shares are written
        if processes.is_first:
            part.replace(file)
        processes.wait()
