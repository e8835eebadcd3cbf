"""Rendered clips on disk: shards of arrays that training memory-maps.

```
world.json                 how the world was made
shard-00000/frames.npy     uint8 [n, T, H, W, 3]
shard-00000/waveforms.npy  int16 [n, S]
shard-00000/clips.jsonl    one line per clip: index, caption, cls, scene, events
```
A shard gets its name when it is complete, so a stopped run continues with the missing shards.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from .plan import Event
from .world import FoleyWorld, Sample

WORLD: FoleyWorld | None = None  # of a worker process


def write_cache(
    folder: str | Path, options: dict, count: int, per_shard: int = 64, workers: int = 1, start: int = 0
) -> Iterator[int]:
    """Render clips start..start+count of `FoleyWorld(**options)`; yields the number of new clips, shard by shard."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "world.json"
    described = {**options, "start": start, "per_shard": per_shard}
    if note.exists() and json.loads(note.read_text()) != json.loads(json.dumps(described)):
        raise ValueError(f"{folder} holds clips of another world: {note.read_text()}")
    note.write_text(json.dumps(described, indent=1))
    jobs = []
    for k in range(0, count, per_shard):
        shard = folder / f"shard-{k // per_shard:05d}"
        size = min(per_shard, count - k)
        if shard.is_dir() and sum(1 for _ in (shard / "clips.jsonl").open()) == size:
            yield 0
            continue
        jobs.append((shard, start + k, size))
    if workers <= 1:
        _begin(options)
        for job in jobs:
            yield _shard(*job)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin, (options,)) as pool:
        for done in as_completed([pool.submit(_shard, *job) for job in jobs]):
            yield done.result()


def _begin(options: dict) -> None:
    global WORLD
    WORLD = FoleyWorld(**options)


def _shard(shard: Path, first: int, size: int) -> int:
    world = WORLD
    assert world is not None
    part = shard.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    frames = waveforms = None
    with (part / "clips.jsonl").open("w", encoding="utf-8") as lines:
        for k in range(size):
            sample = world[first + k]
            if frames is None:
                shape = (size, *sample.frames.shape)
                frames = np.lib.format.open_memmap(part / "frames.npy", "w+", np.uint8, shape)
                shape = (size, len(sample.waveform))
                waveforms = np.lib.format.open_memmap(part / "waveforms.npy", "w+", np.int16, shape)
            frames[k] = sample.frames
            waveforms[k] = (sample.waveform * 32767).round()
            lines.write(json.dumps(describe(sample, first + k)) + "\n")
    if frames is not None:
        frames.flush()
        waveforms.flush()
    shutil.rmtree(shard, ignore_errors=True)
    part.rename(shard)
    return size


def describe(sample: Sample, index: int) -> dict:
    """The manifest entry of a clip."""
    return {
        "index": index,
        "caption": sample.caption,
        "cls": sample.cls,
        "scene": sample.scene,
        "onsets_s": [round(t, 4) for t in sample.onsets_s],
        "events": [{k: _plain(v) for k, v in asdict(e).items()} for e in sample.events],
    }


def _plain(value):
    return round(float(value), 4) if isinstance(value, float) else value


class CachedWorld:
    """The clips of a cache folder, in order; `frames` are read from disk when they are used."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        note = self.folder / "world.json"
        if not note.is_file():
            raise ValueError(f"There is no FoleyWorld cache at {folder}: world.json is missing.")
        self.options = json.loads(note.read_text())
        self.clips: list[tuple[Path, int, dict]] = []
        for shard in sorted(self.folder.glob("shard-?????")):
            for k, line in enumerate((shard / "clips.jsonl").open(encoding="utf-8")):
                self.clips.append((shard, k, json.loads(line)))
        self._maps: dict[Path, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, i: int) -> Sample:
        shard, k, clip = self.clips[i]
        waveform = self._map(shard / "waveforms.npy")[k].astype(np.float32) / 32767
        events = [Event(**e) for e in clip["events"]]
        return Sample(self.frames(i), waveform, events, clip["caption"], clip["cls"], clip["scene"])

    def frames(self, i: int) -> np.ndarray:
        """Only the frames, uint8 [T_v, H, W, 3]; the sound is not read."""
        shard, k, _ = self.clips[i]
        return self._map(shard / "frames.npy")[k]

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_maps": {}}  # each data loader process opens its own

    def _map(self, path: Path) -> np.ndarray:
        if path not in self._maps:
            self._maps[path] = np.load(path, mmap_mode="r")
        return self._maps[path]
