"""Clips as WebDataset shards: plain tar files, with an index beside each so that any clip can be read by number.

```
dataset.json               what the clips were made with: model, timeline, filter, features, list of sources
splits.json                which sources are validation (`splits.py`)
shard-00000.tar            KEY.jpg       frames, one below the other: uint8 [T_v * H, W, 3]; none of sound alone
                           KEY.flac      sound, 16 bit, mono
                           KEY.cavp.npy  cavp_features (e_v) float16 [T_v, D], where they were asked for
                           KEY.json      caption, onsets_s, av_align, clap, reason, split, source, start_s, duration_s
shard-00000.index.jsonl    a line a clip: key, files {kind: [offset, size]}, clip (what KEY.json holds)
```
The webdataset package reads the tar files as they are. Training does not go through it, because it streams:
here sample `i` must be the same in every process and after every interruption.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import soundfile

from .splits import Splits

JPEG_QUALITY = 95
MOST_OPEN = 128
PLACE = np.dtype([("shard", np.int32), ("size", np.int32), ("at", np.int64)])  # of a clip's line in an index file


@dataclass
class ShardClip:
    """frames uint8 [T_v, H, W, 3] and cavp_features float16 [T_v, D] or None; waveform float32 [S]; note: KEY.json."""

    key: str
    frames: np.ndarray | None
    waveform: np.ndarray
    sample_rate: int
    note: dict
    cavp_features: np.ndarray | None = None

    def files(self) -> dict[str, bytes]:
        """Contents by kind, the same bytes for the same clip."""
        sound = io.BytesIO()
        soundfile.write(sound, self.waveform.clip(-1, 1), self.sample_rate, format="FLAC", subtype="PCM_16")
        pictures = {} if self.frames is None else {"jpg": encode_frames(self.frames)}
        files = {**pictures, "flac": sound.getvalue()}
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


def write_shard(target: Path, clips: Iterable[ShardClip], skipped: list[dict]) -> None:
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

    `filtered`: leave out clips that were kept although a filter of the paper (§III-A) refuses them. Of every clip only
    its place is held in memory (16 bytes); its note is read when it is asked for.
    """

    def __init__(self, folder: str | Path, split: str | None = None, filtered: bool = True):
        self.folder = Path(folder)
        note = self.folder / "dataset.json"
        if not note.is_file():
            raise ValueError(f"{folder} holds no prepared clips: dataset.json is missing.")
        self.settings = json.loads(note.read_text())
        splits = Splits(self.folder)
        self.shards = sorted(self.folder.glob("shard-*.tar"))
        self.scanned: dict[int, list[dict]] = {}  # lines of shards that came without an index
        self.blind = 0  # clips of sound alone
        places: list[np.ndarray] = []
        for number, shard in enumerate(self.shards):
            found = []
            for line, at, size in self._lines(number, shard):
                clip = line["clip"]
                if (split is None or splits.of(clip) == split) and not (filtered and clip["reason"]):
                    found.append((number, size, at))
                    self.blind += "jpg" not in line["files"]
            places.append(np.array(found, PLACE))
        self.places = np.concatenate(places) if places else np.empty(0, PLACE)
        if not len(self.places):
            raise ValueError(f"{folder} holds no clips{f' of the split {split}' if split else ''} that can be used.")
        self._open: OrderedDict[Path, int] = OrderedDict()

    def _lines(self, number: int, shard: Path) -> Iterator[tuple[dict, int, int]]:
        """The index of a shard: a line, where it begins, its length; without an index file, by its number alone."""
        listed = index_of(shard)
        if not listed.is_file():
            self.scanned[number] = scan(shard)
            yield from ((line, at, 0) for at, line in enumerate(self.scanned[number]))
            return
        at = 0
        with listed.open("rb") as lines:
            for line in lines:
                yield json.loads(line), at, len(line)
                at += len(line)

    def __len__(self) -> int:
        return len(self.places)

    def line(self, i: int) -> tuple[Path, dict]:
        """-> the shard and the index line of clip i."""
        place = self.places[i]
        number, at = int(place["shard"]), int(place["at"])
        shard = self.shards[number]
        if number in self.scanned:
            return shard, self.scanned[number][at]
        return shard, json.loads(os.pread(self._handle(index_of(shard)), int(place["size"]), at))

    def note(self, i: int) -> dict:
        return self.line(i)[1]["clip"]

    def has(self, i: int, kind: str) -> bool:
        return kind in self.line(i)[1]["files"]

    def read(self, i: int, kind: str) -> bytes:
        shard, line = self.line(i)
        offset, size = line["files"][kind]
        return os.pread(self._handle(shard), size, offset)  # leaves no position behind: forked loaders share the file

    def _handle(self, file: Path) -> int:
        """An open file; of many only the last used stay open, for a system allows a process about a thousand."""
        if file not in self._open:
            self._open[file] = os.open(file, os.O_RDONLY)
            if len(self._open) > MOST_OPEN:
                os.close(self._open.popitem(last=False)[1])
        self._open.move_to_end(file)
        return self._open[file]

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
        return {**self.__dict__, "_open": OrderedDict()}

    def __del__(self):
        for handle in getattr(self, "_open", {}).values():
            os.close(handle)
