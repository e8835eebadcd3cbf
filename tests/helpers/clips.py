"""Small clips made with ffmpeg when tests run. All show black with a white flash from `FLASH_S` on for 0.4 s."""

from __future__ import annotations

import subprocess
from pathlib import Path

from stav2a.media import ffmpeg

FLASH_S = 1.0
FLASH = f"drawbox=enable='between(t,{FLASH_S - 0.001},{FLASH_S + 0.399})':color=white:t=fill"


def run_ffmpeg(*arguments: object) -> None:
    command = [ffmpeg.binary(), "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, timeout=120, stdout=subprocess.DEVNULL)


def black(rate: object = 25, size: str = "96x64", duration_s: float = 2.0) -> list[str]:
    return ["-f", "lavfi", "-i", f"color=black:size={size}:rate={rate}:duration={duration_s}"]


def tone(duration_s: float = 2.0, layout: str = "stereo", hertz: int = 440) -> list[str]:
    return [
        "-f",
        "lavfi",
        "-i",
        f"sine={hertz}:duration={duration_s}:sample_rate=44100,aformat=channel_layouts={layout}",
    ]


def make(
    path: Path,
    *encoding: object,
    rate: object = 25,
    size: str = "96x64",
    duration_s: float = 2.0,
    sound: bool = True,
    filters: str = FLASH,
) -> Path:
    """A clip at `path`; `encoding` are ffmpeg's output options, H.264 by default."""
    sources = black(rate, size, duration_s) + (tone(duration_s) if sound else [])
    video = encoding or ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    run_ffmpeg(*sources, "-vf", filters, *video, f"file:{path}")
    return path


def flash_frame(frames) -> int:
    """Index of the first bright picture."""
    return int((frames.mean((1, 2, 3)) > 128).argmax())
