"""Frames and a waveform as a clip on disk."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np

from stav2a.media.audio import write_wav
from stav2a.media.ffmpeg import binary


def write_clip(path: Path, frames: np.ndarray, fps: float, waveform: np.ndarray, sample_rate: int = 16_000) -> None:
    """frames uint8 [T, H, W, 3] RGB and waveform float32 [S] as H.264 and AAC."""
    height, width = frames.shape[1:3]
    with tempfile.TemporaryDirectory() as folder:
        sound = write_wav(Path(folder) / "sound.wav", waveform, sample_rate)
        picture = [
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-s",
            f"{width}x{height}",
            "-r",
            str(fps),
            "-i",
            "-",
        ]
        coding = [
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-crf",
            "16",
            "-pix_fmt",
            "yuv420p",
            "-c:a",
            "aac",
            "-b:a",
            "128k",
        ]
        command = [
            binary(),
            "-y",
            "-v",
            "error",
            *picture,
            "-i",
            str(sound),
            *coding,
            "-threads",
            "1",
            str(path),
        ]
        made = subprocess.run(command, input=np.ascontiguousarray(frames).tobytes(), capture_output=True, check=False)
    if made.returncode:
        raise RuntimeError(f"ffmpeg could not write {path}: {made.stderr.decode(errors='replace')[-500:]}")
