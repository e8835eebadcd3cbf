"""Clips as WebDataset shards: plain tar files, with an index beside each so that any clip can be read by number.

```
dataset.json               what the clips were made with: model, timeline, filter, features, list of sources
shard-00000.tar            KEY.jpg       frames, one below the other: uint8 [T_v * H, W, 3]
                           KEY.flac      sound, 16 bit, mono
                           KEY.cavp.npy  cavp_features (e_v) float16 [T_v, D], where they were asked for
                           KEY.json      caption, onsets_s, av_align, reason, split, source, start_s, duration_s
shard-00000.index.jsonl    a line a clip: key, files {kind: [offset, size]}, clip (what KEY.json holds)
```
The webdataset package reads the tar files as they are. Training does not go through it, because it streams:
here sample `i` must be the same whatever process asks and wherever a run was interrupted.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import soundfile

JPEG_QUALITY = 95


@dataclass
class Clip:
    """frames uint8 [T_v, H, W, 3]; waveform float32 [S]; cavp_features float16 [T_v, D] or None; note: KEY.json."""

    key: str
    frames: np.ndarray
    waveform: np.ndarray
    sample_rate: int
    note: dict
    cavp_features: np.ndarray | None = None

    def files(self) -> dict[str, bytes]:
        """Contents by kind, the same bytes for the same clip."""
        sound = io.BytesIO()
        soundfile.write(sound, self.waveform.clip(-1, 1), self.sample_rate, format="FLAC", subtype="PCM_16")
        files = {"jpg": encode_frames(self.frames), "flac": sound.getvalue()}
        if self.cavp_features is not None:
            array = io.BytesIO()
            np.save(array, self.cavp_features)
            files["cavp.npy"] = array.getvalue()
        return {**files, "json": json.dumps(self.note, sort_keys=True).encode()}


def encode_frames(frames: np.ndarray) -> bytes:
    """uint8 [T_v, H, W, 3] RGB -> one JPEG, frames one below the other; full colour resolution."""
    strip = np.ascontiguousarray(frames.reshape(-1, *frames.shape[2:])[..., ::-1])
    if strip.shape[0] > 65_500:
        raise ValueError(f"{len(frames)} frames of {frames.shape[1]} pixels do not fit into one picture of 65,500.")
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    done, data = cv2.imencode(".jpg", strip, options)
    assert done, f"{strip.shape=}"
    return data.tobytes()


def decode_frames(data: bytes) -> np.ndarray:
    """Inverse of `encode_frames`; frames are square, so the width tells their height."""
    strip = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    return strip.reshape(-1, strip.shape[1], strip.shape[1], 3)


def write_shard(target: Path, clips: Iterable[Clip], skipped: list[dict]) -> None:
    """Write `target` (.tar), what was left out, and the index, each whole or not at all; the index comes last.

    `skipped` is filled while `clips` is drawn from.
    """
    part = target.with_suffix(".part")
    with tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        for clip in clips:
            for kind, data in clip.files().items():
                entry = tarfile.TarInfo(f"{clip.key}.{kind}")  # owner, mode and time (1970) are always the same
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    part.replace(target)
    for file, lines in ((target.with_suffix(".skipped.jsonl"), skipped), (index_of(target), scan(target))):
        part.write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in lines))
        part.replace(file)


def index_of(shard: Path) -> Path:
    return shard.with_suffix(".index.jsonl")


def scan(shard: Path) -> list[dict]:
    """The index of a tar file, made by reading its headers."""
    found: dict[str, dict] = {}
    with tarfile.open(shard) as tar:
        for entry in tar:
            key, _, kind = entry.name.partition(".")
            line = found.setdefault(key, {"key": key, "files": {}, "clip": {}})
            line["files"][kind] = [entry.offset_data, entry.size]
            if kind == "json":
                line["clip"] = json.loads(tar.extractfile(entry).read())
    return list(found.values())


class Shards:
    """The clips of a folder of shards that belong to one split, in order, read by number.

    `filtered`: leave out clips that were kept although a filter of the paper (§III-A) refuses them.
    """

    def __init__(self, folder: str | Path, split: str | None = None, filtered: bool = True):
        self.folder = Path(folder)
        note = self.folder / "dataset.json"
        if not note.is_file():
            raise ValueError(f"{folder} holds no prepared clips: dataset.json is missing.")
        self.settings = json.loads(note.read_text())
        self.clips: list[tuple[Path, dict]] = []
        for shard in sorted(self.folder.glob("shard-*.tar")):
            listed = index_of(shard)
            lines = map(json.loads, listed.open(encoding="utf-8")) if listed.is_file() else scan(shard)
            for line in lines:
                clip = line["clip"]
                if (split is None or clip["split"] == split) and not (filtered and clip["reason"]):
                    self.clips.append((shard, line))
        if not self.clips:
            raise ValueError(f"{folder} holds no clips{f' of the split {split}' if split else ''} that can be used.")
        self._open: dict[Path, int] = {}

    def __len__(self) -> int:
        return len(self.clips)

    def note(self, i: int) -> dict:
        return self.clips[i][1]["clip"]

    def has(self, i: int, kind: str) -> bool:
        return kind in self.clips[i][1]["files"]

    def read(self, i: int, kind: str) -> bytes:
        shard, line = self.clips[i]
        if shard not in self._open:
            self._open[shard] = os.open(shard, os.O_RDONLY)
        offset, size = line["files"][kind]
        return os.pread(self._open[shard], size, offset)  # leaves no position behind: forked loaders share the file

    def frames(self, i: int) -> np.ndarray:
        """uint8 [T_v, H, W, 3]."""
        return decode_frames(self.read(i, "jpg"))

    def waveform(self, i: int) -> np.ndarray:
        """float32 [S]."""
        return soundfile.read(io.BytesIO(self.read(i, "flac")), dtype="float32")[0]

    def cavp_features(self, i: int) -> np.ndarray:
        """float32 [T_v, D]."""
        return np.load(io.BytesIO(self.read(i, "cavp.npy"))).astype(np.float32)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_open": {}}

    def __del__(self):
        for handle in getattr(self, "_open", {}).values():
            os.close(handle)
