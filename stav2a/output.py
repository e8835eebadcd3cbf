"""Outputs of the pipeline: progress, features of the video, and the sound. Importing it does not import torch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Item = TypeVar("Item")


@dataclass(frozen=True)
class Progress:
    """Progress: `step` of `total` of a stage; `latents`, Tensor[K, C, T, F], while denoising.

    Stages of the pipeline are video, text, denoise and decode. Around it come load, read, wait (for the device), level,
    mux, measure, figure and bundle; the page adds record.
    """

    stage: str
    step: int = 0
    total: int = 1
    latents: Tensor | None = None


@dataclass(frozen=True)
class OnsetPrediction:
    """Onset probability per latent frame, float32 [T], and the picked times in seconds."""

    curve: np.ndarray
    onsets_s: list[float]
    latent_frame_s: float


@dataclass(frozen=True)
class VideoFeatures:
    """Features of a video, computed once and used with any settings.

    cavp_features: Tensor[1, T_v, D]   local_features: Tensor[1, T, C]   onset: the prediction
    motion: mean change of a pixel before each frame, float32 [T_v]; None without a picture
    features: Tensor[1, T, C'], of `System.encode_frames`
    layout: float32 [rows, bands], the predicted audio layout, if the system has one
    image_features: Tensor[1, N, 1280] of the pretrained image network, if the model has one
    """

    cavp_features: Tensor
    local_features: Tensor
    onset: OnsetPrediction
    duration_s: float
    features: Tensor | None = None
    layout: np.ndarray | None = None
    image_features: Tensor | None = None
    motion: np.ndarray | None = None


@dataclass(frozen=True)
class Recorded:
    """Recordings placed in time. waveforms: float32 [K, S], a take a row; credits: of each take's recordings."""

    waveforms: np.ndarray
    credits: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class STAV2AOutput:
    """waveforms: float32 [K, S]; mels: natural-log mel float32 [K, M, mel_bins]; times in seconds.

    index: of the request   dtype: of the networks   seconds: by stage; requests of one pass share its time
    layout, predicted_layout: float32 [rows, bands], the audio layout that was used, and the predicted one, if the
    system has one (TiVA)
    credits: of the recordings that each take starts from, one line each; empty if it starts from noise
    video: the features of the clip, which a later request can have in place of the frames
    """

    waveforms: np.ndarray
    sample_rate: int
    mels: np.ndarray
    onset_curve: np.ndarray
    predicted_onsets_s: list[float]
    onsets_s: list[float]
    seeds: list[int]
    duration_s: float
    settings: dict = field(default_factory=dict)
    dtype: str = "float32"
    layout: np.ndarray | None = None
    predicted_layout: np.ndarray | None = None
    index: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    credits: tuple[tuple[str, ...], ...] = ()
    video: VideoFeatures | None = None


class Stopwatch:
    """`seconds` by stage, summed over all calls. Time in which a generator is suspended does not count."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def each(self, name: str, items: Iterator[Item]) -> Iterator[Item]:
        """Yield the items and count the time it takes to produce them."""
        while True:
            with self.stage(name):
                item = next(items, None)
            if item is None:
                return
            yield item
