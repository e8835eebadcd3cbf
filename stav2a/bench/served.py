"""What a program waits for that asks the page's server: its start, requests one after another, and many at once."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stav2a.bench.clips import copied, moving_square
from stav2a.media.limits import InputError

STARTS_WITHIN_S = 120.0
SHORT_S = 2.0  # clips of those who ask at once


def served(model: str, seconds: float, runs: int, visitors: int) -> dict[str, float]:
    """Seconds: "answers" after the server's start, "first", "another" and "moved" of requests to `/generate`, and
    "alone" and "at_once" of a short request: asked one after another, and a share of the time of `visitors` at once.

    Clips of `seconds` are uploaded with each request, as another program would; the last two are of `SHORT_S`.
    """
    with tempfile.TemporaryDirectory() as place, server(model, Path(place)) as (url, answers):
        folder = Path(place)
        clip = moving_square(folder / "clip.mp4", seconds)
        first = asked(url, clip, seed=0)
        others = [asked(url, copied(clip, f"other_{k}"), seed=0) for k in range(runs)]
        moved = [asked(url, clip, seed=k, onsets_s=[seconds / 3, seconds / 2]) for k in range(runs)]
        short = moving_square(folder / "short.mp4", SHORT_S)
        asked(url, copied(short, "warm"), seed=0)
        alone = [asked(url, copied(short, f"alone_{k}"), seed=0) for k in range(visitors)]
        began = time.perf_counter()
        with ThreadPoolExecutor(visitors) as crowd:
            list(crowd.map(lambda k: asked(url, copied(short, f"short_{k}"), seed=0), range(visitors)))
        at_once = (time.perf_counter() - began) / visitors
    return {
        "answers": answers,
        "first": first,
        "another": sorted(others)[runs // 2],
        "moved": sorted(moved)[runs // 2],
        "alone": sorted(alone)[visitors // 2],
        "at_once": at_once,
    }


def asked(url: str, clip: Path, **given: Any) -> float:
    """Seconds of one request, its upload included."""
    from gradio_client import Client, handle_file

    client = Client(url, verbose=False, download_files=False)
    began = time.perf_counter()
    client.predict(video=handle_file(clip), prompt="a stick hits a table", api_name="/generate", **given)
    return time.perf_counter() - began


@contextmanager
def server(model: str, folder: Path) -> Iterator[tuple[str, float]]:
    """The address of a page that serves until the end of the block, and the seconds that it took to answer."""
    import httpx

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url, said = f"http://127.0.0.1:{port}", folder / "server.txt"
    command = [sys.executable, "-m", "stav2a", "serve", "--model", model, "--host", "127.0.0.1", "--port", str(port)]
    began = time.perf_counter()
    with said.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as page:
        try:
            while True:
                try:
                    if httpx.get(f"{url}/config", timeout=5).status_code == 200:
                        break
                except httpx.TransportError:
                    pass  # it does not listen yet
                if page.poll() is not None or time.perf_counter() - began > STARTS_WITHIN_S:
                    last = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
                    raise InputError(f"The page does not start: {last[0] if last else 'it says nothing'}")
                time.sleep(0.05)
            yield url, time.perf_counter() - began
        finally:
            page.terminate()
