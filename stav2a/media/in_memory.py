"""Clips given from Python code: arrays, tensors, lists of images or files, converted to a model's rate and size."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from stav2a.media.frames import EARLY_US, read_for_model
from stav2a.media.limits import InputError

if TYPE_CHECKING:
    from stav2a.timeline import Timeline


def clips_of(given: Any) -> list:
    """The clips of a call: a list of pictures is one clip, any other list holds clips."""
    if not isinstance(given, list) or (given and _is_picture(given[0])):
        return [given]
    return given


def for_model(clip: Any, timeline: Timeline, fps: float | None = None) -> tuple[np.ndarray, float]:
    """A clip as uint8 [T_v, H, W, 3] at the timeline's rate and size, and how long it lasts in seconds.

    clip: a file; or pictures, as uint8 or as floats in [0, 1], as [T, H, W, C] or [T, C, H, W] or a list of PIL
    images or [H, W, C]; one channel is grey, a fourth is transparency on black.
    fps: frames per second of arrays and lists, by default the timeline's. A file has its own.

    Frame k is the picture shown at k / timeline.fps, chosen as in `read_frames`.
    """
    if isinstance(clip, str | os.PathLike):
        read = read_for_model(os.fspath(clip), timeline)
        return _to_length(read.frames, read.duration_s, timeline.fps), read.duration_s
    pictures = _pictures(clip)
    fps = timeline.fps if fps is None else float(fps)
    if not (math.isfinite(fps) and 0 < fps <= 1000):
        raise InputError(f"The frames a second are {fps:g}; they must lie between 0 and 1000.")
    duration_s = len(pictures) / fps
    count = math.ceil(duration_s * timeline.fps - 1e-6)
    at = np.arange(count) / timeline.fps * fps
    rows = np.floor(at + EARLY_US * 1e-6 * fps) if timeline.shown == "latest" else np.round(at)
    rows = np.clip(rows.astype(int), 0, len(pictures) - 1)
    size, made = timeline.frame_size, {}
    for row in np.unique(rows):
        made[row] = _resized(_bytes(np.asarray(pictures[row])), size)
    return np.stack([made[row] for row in rows]), duration_s


def _pictures(clip: Any) -> np.ndarray:
    """The pictures as a sequence: channels last, values unchanged."""
    if isinstance(clip, list | tuple):
        if not clip:
            raise InputError("The clip has no frames.")
        pictures = [np.asarray(one.convert("RGB") if hasattr(one, "convert") else _array(one)) for one in clip]
        if len({picture.shape for picture in pictures}) > 1:
            raise InputError("The pictures of the clip differ in size.")
        clip = np.stack(pictures)
    frames = _array(clip)
    if frames.ndim == 4 and frames.shape[-1] not in (1, 3, 4) and frames.shape[1] in (1, 3, 4):
        frames = frames.transpose(0, 2, 3, 1)
    if frames.ndim != 4 or frames.shape[-1] not in (1, 3, 4):
        raise InputError(
            f"Frames must be [T, H, W, C] or [T, C, H, W] of 1, 3 or 4 channels, not {list(frames.shape)}."
        )
    if not len(frames):
        raise InputError("The clip has no frames.")
    if frames.dtype != np.uint8 and not np.issubdtype(frames.dtype, np.floating):
        raise InputError(f"Frames must be uint8 or floats in [0, 1], not {frames.dtype}.")
    return frames


def _array(frames: Any) -> np.ndarray:
    if hasattr(frames, "detach"):  # a tensor on any device; NumPy has no bfloat16
        frames = frames.detach().cpu()
        frames = frames.float() if frames.is_floating_point() else frames
    return np.asarray(frames)


def _bytes(picture: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3]"""
    if picture.dtype != np.uint8:
        if not (np.isfinite(picture).all() and picture.min() >= -1e-3 and picture.max() <= 1.001):
            raise InputError("Frames of floats must lie in [0, 1].")
        picture = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    if picture.shape[-1] == 4:
        return np.round(picture[..., :3] * (picture[..., 3:] / 255.0)).astype(np.uint8)
    return np.repeat(picture, 3, axis=-1) if picture.shape[-1] == 1 else picture


def _resized(picture: np.ndarray, size: int) -> np.ndarray:
    if picture.shape[:2] == (size, size):
        return picture
    import cv2

    how = cv2.INTER_AREA if min(picture.shape[:2]) >= size else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(picture), (size, size), interpolation=how)


def _to_length(frames: np.ndarray, duration_s: float, fps: float) -> np.ndarray:
    """Repeat the last picture up to the end."""
    missing = math.ceil(duration_s * fps - 1e-6) - len(frames)
    return np.concatenate([frames, frames[-1:].repeat(missing, 0)]) if missing > 0 else frames


def _is_picture(item: Any) -> bool:
    return hasattr(item, "convert") or getattr(item, "ndim", 0) == 3
