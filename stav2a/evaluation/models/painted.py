"""Whether a layout painted by hand is heard (TiVA): its correlation with the layout of the sound made from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from stav2a.metrics.chance import against_others, bootstrap_ci, pooled_gain
from stav2a.sound.mel import log_mel


def painting(layout: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another layout in the same colours: float32 [rows, bands] -> the same shape.

    Two to five strokes on the quietest level that the layout has: each as loud as its loudest, a random band and its
    neighbours wide, and of 0.1 to 0.5 of the clip.
    """
    rows, bands = layout.shape
    painted = np.full_like(layout, layout.min())
    for _ in range(rng.integers(2, 6)):
        start, length = rng.integers(rows), max(1, round(rows * rng.uniform(0.1, 0.5)))
        band = rng.integers(bands)
        painted[start : start + length, max(band - 1, 0) : band + 2] = layout.max()
    return painted


def heard_as_painted(pipe: Any, clips: Iterable[np.ndarray], seed: int = 0, **settings: Any) -> dict:
    """{"mean", "ci95", "chance", "gain", "gain_ci95", "p", "n"} of the correlation of painted and generated layouts.

    clips: frames as `pipe` takes them. Chance: the correlation with the paintings of other clips, over the
    length that both have.
    """
    painted, generated = [], []
    for index, frames in enumerate(clips):
        video = pipe.encode_video(frames)
        if video.layout is None:
            raise ValueError("This system has no layout to paint on.")
        layout = painting(np.asarray(video.layout, np.float32), np.random.default_rng([seed, index]))
        output = pipe(video, layout=layout, seed=seed + index, **settings)
        mel = log_mel(torch.from_numpy(output.waveforms[:1]), pipe.timeline)
        painted.append(layout.ravel())
        generated.append(pipe.system.kind.of(mel, video.features.shape[1])[0].numpy().ravel())
    own, others = against_others(
        len(painted), lambda i, j: _correlation(painted[i], generated[j]), trials=20, seed=seed
    )
    gain = pooled_gain(own, others, seed=seed)
    over_chance = {"chance": gain.chance, "gain": gain.gain, "gain_ci95": gain.ci95, "p": gain.p}
    return {"mean": gain.score, "ci95": bootstrap_ci(own, seed=seed), **over_chance, "n": len(painted)}


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's over the length that both have; 0 where one of them is constant."""
    shared = min(len(one), len(other))
    one, other = one[:shared], other[:shared]
    if one.std() < 1e-6 or other.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
