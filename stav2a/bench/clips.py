"""A clip of any length to be timed with: the work of decoding without a file to ship."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import cv2
import numpy as np

from stav2a.media import ffmpeg
from stav2a.media.limits import DEFAULT_LIMITS
from stav2a.media.write_clip import write_clip

RATE = 16_000
ROUND_S = 10.0  # most that is drawn and held in memory; longer clips repeat it


def moving_square(path: Path, seconds: float, width: int = 640, height: int = 360, fps: float = 25.0) -> Path:
    """Write an H.264 clip of a square that moves, with silence as its sound, about `seconds` long."""
    rounds = math.ceil(seconds / ROUND_S)
    drawn_s = seconds / rounds
    rng = np.random.default_rng(0)
    background = cv2.resize(rng.integers(0, 255, (9, 16, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    frames = np.repeat(background[None], round(drawn_s * fps), 0)
    for k, picture in enumerate(frames):
        x = int((width - 80) * (0.5 + 0.5 * np.sin(k / 6)))
        picture[100:180, x : x + 80] = (240, 230, 90)
    silence = np.zeros(round(drawn_s * RATE), np.float32)
    if rounds == 1:
        write_clip(path, frames, fps, silence)
        return path
    once = path.with_name(f"once_{path.name}")
    write_clip(once, frames, fps, silence)
    repeat = ["-loglevel", "error", "-stream_loop", f"{rounds - 1}", "-i", f"file:{once}", "-c", "copy"]
    with ffmpeg.start([*repeat, "-y", f"file:{path}"], timeout_s=DEFAULT_LIMITS.timeout_s) as run:
        assert run.written(path), run.messages
    once.unlink()
    return path


def copied(clip: Path, name: str) -> Path:
    """Another clip with the same pictures: its bytes differ by what is behind the end of the container."""
    copy = Path(shutil.copy(clip, clip.with_name(f"{name}.mp4")))
    with copy.open("ab") as file:
        file.write((8 + len(name)).to_bytes(4, "big") + b"free" + name.encode())
    return copy
