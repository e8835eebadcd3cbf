"""A served page over the tiny model, and small clips to feed it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

from stav2a.generation.engine import Engine
from stav2a.ui.page import create_demo
from stav2a.ui.serve.launch import launch_options


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
def served(root: Path, engine: Engine, **changes) -> Iterator[tuple[str, object]]:
    """(address, demo) of a page that is being served; `changes` to how it is launched.

    Uploads have a folder of their own, as where the page is served: another server's end must not remove them.
    """
    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = str(root.with_name(f"{root.name}-uploads").resolve())
    demo = None
    try:
        demo = create_demo(engine, root=root, ratings=root.with_name(f"{root.name}-ratings.sqlite"))
        options = {**launch_options(), **changes}
        _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **options)
        yield url, demo
    finally:
        if demo is not None:
            demo.close()
        if before is None:
            os.environ.pop("GRADIO_TEMP_DIR", None)
        else:
            os.environ["GRADIO_TEMP_DIR"] = before
