"""Prepared clips (`data prepare`) as an endless, seeded set of training crops.

A `ClipSource` (`clip_source.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from stav2a.data.shards import Shards
from stav2a.sound.compiled import librosa
from stav2a.timeline import Timeline
from stav2a.train.runtime.config import checked_chance
from stav2a.train.runtime.stage import seed_of

RATES = (0.7, 1.4)  # of time stretching: slower and faster


@dataclass(frozen=True)
class Piece:
    """`count` frames of a stretch: those of a clip from `first` on, `rate` of its frames to one of the stretch."""

    clip: int
    first: int
    count: int
    rate: float = 1.0


@dataclass(frozen=True)
class StretchSound:
    """waveform float32 [S], caption, and the onsets of a stretch in seconds; a plan's score holds the onsets alone.

    recordings: of the bank that a rendered sound is mixed from
    """

    onsets_s: list[float]
    waveform: np.ndarray | None = None
    caption: str = ""
    recordings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stretch:
    pieces: tuple[Piece, ...]
    score: StretchSound
    frames: np.ndarray | None = None  # uint8 [T_v, H, W, 3]
    waveform: np.ndarray | None = None

    @property
    def onsets_s(self) -> list[float]:
        return self.score.onsets_s

    @property
    def caption(self) -> str:
        return self.score.caption


class PreparedWorld:
    """Stretches of the clips of one split; `[i]` is the same in every process and order.

    Each pass over the clips takes them in another order and other stretches. Augmentations, on the training
    split alone: with the chance `concat` a stretch is made of two clips (VTA-LDM §5.5, "randomly combine video
    and audio segments"), with the chance `stretch` a clip runs slower or faster, its pitch kept (VTA-LDM §2).
    A clip shorter than a crop is padded with its last frame and silence.
    """

    def __init__(
        self,
        folder: str | Path,
        split: str,
        timeline: Timeline,
        crop_s: float,
        seed: int,
        filtered: bool = True,
        concat: float = 0.0,
        stretch: float = 0.0,
    ):
        self.shards = Shards(folder, split, filtered)
        must_fit(self.shards, timeline)
        concat, stretch = checked_chance("concat", concat), checked_chance("stretch", stretch)
        self.split, self.timeline, self.seed = split, timeline, seed
        self.samples = round(crop_s * timeline.sample_rate)
        # the paper's video covers 10 s of its 10.24 s of sound
        self.frames_wanted = max(1, round(crop_s * timeline.video_window_s / timeline.window_s * timeline.fps))
        training = split == "train"
        self.concat, self.stretch = (concat, stretch) if training else (0.0, 0.0)

    def __len__(self) -> int:
        return len(self.shards)

    def plan(self, index: int) -> Stretch:
        """Which pieces of which clips sample `index` is made of, with their onsets and captions."""
        turn, position = divmod(index, len(self))
        rng = np.random.default_rng(seed_of(self.seed, "stretch", self.split, index))
        clips = [int(order(self.seed, self.split, turn, len(self))[position])]
        counts = [self.frames_wanted]
        if rng.random() < self.concat and self.frames_wanted > 1:
            clips.append(int(rng.integers(len(self))))
            first = round(self.frames_wanted * rng.uniform(0.25, 0.75))
            counts = [first, self.frames_wanted - first]
        pieces = tuple(self._piece(clip, count, rng) for clip, count in zip(clips, counts, strict=True))
        onsets_s, before = [], 0
        for piece in pieces:
            for time in self.shards.note(piece.clip)["onsets_s"]:
                frame = (time * self.timeline.fps - piece.first) / piece.rate
                if 0 <= frame < piece.count:
                    onsets_s.append((before + frame) / self.timeline.fps)
            before += piece.count
        captions = [self.shards.note(piece.clip)["caption"] for piece in pieces]
        return Stretch(
            pieces, StretchSound(sorted(onsets_s), None, ", then ".join(dict.fromkeys(filter(None, captions))))
        )

    def _piece(self, clip: int, count: int, rng: np.random.Generator) -> Piece:
        length = round(self.shards.note(clip)["duration_s"] * self.timeline.fps)
        rate = 1.0
        if rng.random() < self.stretch:
            rate = float(np.exp(rng.uniform(*np.log(RATES))))
            if count * rate > length:  # as fast as the clip is long
                rate = max(length / count, RATES[0])
        spare = length - round(count * rate)
        return Piece(clip, int(rng.integers(0, spare + 1)) if spare > 0 else 0, count, rate)

    def frames(self, index: int, plan: Stretch | None = None) -> np.ndarray:
        """uint8 [T_v, H, W, 3]."""
        parts = []
        for piece in (plan or self.plan(index)).pieces:
            frames = self.shards.frames(piece.clip)
            chosen = piece.first + np.floor(np.arange(piece.count) * piece.rate + 1e-6).astype(int)
            parts.append(frames[np.minimum(chosen, len(frames) - 1)])
        return np.concatenate(parts)

    def sound(self, index: int, variant: int = 0, plan: Stretch | None = None) -> StretchSound:
        """The sound of sample `index`; real clips have one take, so `variant` has no effect."""
        plan = plan or self.plan(index)
        per_frame = self.timeline.sample_rate / self.timeline.fps
        waveform = np.zeros(self.samples, np.float32)
        before = 0
        for k, piece in enumerate(plan.pieces):
            start = round(before * per_frame)
            before += piece.count
            stop = self.samples if k == len(plan.pieces) - 1 else round(before * per_frame)
            first, length = round(piece.first * per_frame), round((stop - start) * piece.rate)
            part = self.shards.waveform(piece.clip)[first : first + length]
            if piece.rate != 1 and len(part):
                part = librosa().effects.time_stretch(part, rate=piece.rate)
            part = part[: stop - start]
            waveform[start : start + len(part)] = part
        return StretchSound(plan.onsets_s, waveform, plan.caption)

    def __getitem__(self, index: int) -> Stretch:
        plan = self.plan(index)
        return Stretch(plan.pieces, plan.score, self.frames(index, plan), self.sound(index, plan=plan).waveform)

    def must_see(self) -> None:
        """Refuse clips without video, for a stage that needs it."""
        if self.shards.blind:
            raise ValueError(
                f"{self.shards.blind} of {len(self)} clips of {self.shards.folder} are sound alone; this stage learns "
                "from pictures: prepare videos without --sound-only."
            )

    def stores(self, encoder: str) -> bool:
        """Whether the clips hold features of the encoder with this digest that fit every plan."""
        return self.stretch == 0 and self.shards.settings["features"] == encoder

    def cavp_features(self, plan: Stretch) -> np.ndarray:
        """Stored features of a plan that runs at its clips' own pace: float32 [T_v, D]."""
        assert all(piece.rate == 1 for piece in plan.pieces), f"{plan.pieces=}"
        parts = []
        for piece in plan.pieces:
            features = self.shards.cavp_features(piece.clip)
            parts.append(features[np.minimum(piece.first + np.arange(piece.count), len(features) - 1)])
        return np.concatenate(parts)


@lru_cache(maxsize=4)
def order(seed: int, split: str, turn: int, count: int) -> np.ndarray:
    """Order of the clips in pass `turn` over them: uint32 [count]."""
    return np.random.default_rng(seed_of(seed, "order", split, turn)).permutation(count).astype(np.uint32)


def must_fit(shards: Shards, timeline: Timeline) -> None:
    """`ValueError` if clips were prepared at other rates or another size than the model's."""
    made_for = Timeline(**shards.settings["timeline"])
    for what in ("sample_rate", "fps", "frame_size"):
        if getattr(made_for, what) != getattr(timeline, what):
            raise ValueError(
                f"The clips of {shards.folder} have a {what} of {getattr(made_for, what):g}; this model needs "
                f"{getattr(timeline, what):g}: prepare them with its --model, --fps or --frame-size."
            )
