"""How long `python app.py` takes until the page answers, and the first three requests after it.

    python tests/helpers/first_answer.py CLIP

The first request is sent as soon as the page answers, while the model may still load. Run it twice: the first time
reads the files into the disk cache.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from gradio_client import Client, handle_file

ROOT = Path(__file__).parents[2]


def first_answer(clip: Path, model: str, requests: int) -> tuple[float, list[float]]:
    """Seconds until the page answers, and of each request."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    began = time.perf_counter()
    command = [sys.executable, str(ROOT / "app.py"), "--model", model, "--port", str(port)]
    with tempfile.TemporaryFile() as said, subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said) as page:
        try:
            while not _answers(f"http://127.0.0.1:{port}/config"):
                if page.poll() is not None:
                    said.seek(0)
                    raise SystemExit(said.read().decode())
                time.sleep(0.05)
            until_answer = time.perf_counter() - began
            client, taken = Client(f"http://127.0.0.1:{port}", verbose=False), []
            for seed in range(requests):
                began = time.perf_counter()
                client.predict(video=handle_file(clip), seed=seed, api_name="/generate")
                taken.append(time.perf_counter() - began)
        finally:
            page.terminate()
    return until_answer, taken


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--model", default="compact")
    parser.add_argument("--requests", type=int, default=3)
    given = parser.parse_args()
    until_answer, taken = first_answer(given.clip, given.model, given.requests)
    print(f"the page answers after {until_answer:.1f} s")
    print(f"requests, s: {', '.join(f'{seconds:.1f}' for seconds in taken)}")


if __name__ == "__main__":
    main()
