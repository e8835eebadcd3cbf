"""A served page over the tiny model, and small clips to feed it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

from stav2a.generation.engine import Engine
from stav2a.ui.page import create_demo
from stav2a.ui.serve.command import launch_options


def make_clip(path: Path, seconds: float = 2.0, sound: bool = True, size: str = "160x120") -> Path:
    """A moving test picture at 25 fps, with a beeping tone unless `sound` is False."""
    command = [
        get_ffmpeg_exe(),
        "-v",
        "error",
        "-y",
        "-f",
        "lavfi",
        "-i",
        f"testsrc=s={size}:r=25:d={seconds}",
    ]
    if sound:
        command += ["-f", "lavfi", "-i", f"sine=f=440:beep_factor=4:d={seconds}", "-c:a", "aac"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path)]
    subprocess.run(command, check=True)
    return path


@contextlib.contextmanager
def served(root: Path, engine: Engine) -> Iterator[tuple[str, object]]:
    """(address, demo) of a page that is being served."""
    demo = create_demo(engine, root=root, ratings=root.with_name(f"{root.name}-ratings.sqlite"))
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **launch_options())
    try:
        yield url, demo
    finally:
        demo.close()
