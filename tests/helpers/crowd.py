"""Many visitors at once against a served page: whose results come back, what is refused, and what stays.

    PYTHONPATH=. python tests/helpers/crowd.py CLIP --model tiny --requests 200 --visitors 12 --at-once 30

Visitors send good and broken files in turn, each from an address of its own; in the middle `--at-once` requests come
together. The table says how many were answered, refused in a sentence or failed otherwise, how many answers belonged to
another request, the memory of the server after the first 24 requests and after each quarter, and the files that stayed
in the temporary folder beside results and uploads, which a page keeps for two hours.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from soak import Room

from stav2a.generation.engine import Engine
from stav2a.ui.page import create_demo
from stav2a.ui.serve.launch import bounded_heap, launch_options

FIRST = 24  # requests; memory should not grow after them
PATIENCE_S = 300.0  # of a visitor, for one answer of the server
BROKEN = {"text.mp4": b"no video\n" * 100, "empty.mp4": b"", "cut.mp4": b"\0\0\0\x18ftypmp42" + b"\0" * 4000}


@dataclass
class Crowd:
    """What became of the requests: `answers` by kind, `foreign` that were another's; (requests, memory in MB)."""

    answers: Counter = field(default_factory=Counter)
    foreign: int = 0
    memory_mb: list[tuple[int, float]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        counted = [f"| {name} | {count} |" for name, count in sorted(self.answers.items())]
        memory = [f"| memory after {requests} requests, MB | {value:,.0f} |" for requests, value in self.memory_mb]
        rest = [f"| answers of another request | {self.foreign} |", *memory]
        return [
            "| what | count |",
            "| --- | ---: |",
            *counted,
            *rest,
            f"| files left in the temporary folder, other than results | {len(self.left)} |",
        ]


def crowd(engine: Engine, clip: Path, requests: int, visitors: int, at_once: int) -> Crowd:
    """Send everything and count."""
    from gradio_client import Client, handle_file

    found = Crowd()
    with tempfile.TemporaryDirectory(prefix="stav2a-crowd-") as folder:
        scratch = Path(folder) / "scratch"
        root = scratch / "runs"
        scratch.mkdir()
        for name, data in BROKEN.items():
            (Path(folder) / name).write_bytes(data)
        files = [clip, *(Path(folder) / name for name in BROKEN)]
        before = tempfile.tempdir
        tempfile.tempdir = str(scratch)  # of everything that runs make
        demo = create_demo(engine, root=root, ratings=Path(folder) / "ratings.sqlite")
        options = {**launch_options(), "mcp_server": False}
        try:
            _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **options)
            clients = [
                Client(url, verbose=False, headers={"X-Forwarded-For": f"10.1.0.{k + 1}"},
                       download_files=str(Path(folder) / f"of{k}"), httpx_kwargs={"timeout": PATIENCE_S})
                for k in range(visitors)
            ]  # fmt: skip

            def ask(number: int, good: bool) -> None:
                _ask(
                    found, clients[number % visitors], handle_file, clip if good else files[number % len(files)], number
                )

            ask(0, True)  # loads the model
            done, marks = 0, sorted({min(FIRST, requests), *(requests * k // 4 for k in (1, 2, 3, 4))})
            with ThreadPoolExecutor(max(visitors, at_once)) as pool:
                while done < requests:
                    size = at_once if done <= requests // 2 < done + visitors else visitors
                    list(pool.map(ask, range(done, done + size), [k == at_once for k in [size] * size]))
                    done += size
                    if marks and done >= marks[0]:
                        marks = [mark for mark in marks if mark > done]
                        found.memory_mb.append((done, Room.of(root).memory_mb))
        finally:
            demo.close()
            tempfile.tempdir = before
        left = [path.relative_to(scratch) for path in scratch.rglob("*") if path.is_file()]
        found.left = [str(path) for path in left if path.parts[0] not in ("runs", "gradio")]
    return found


def _ask(found: Crowd, client, handle_file, file: Path, number: int) -> None:
    """One request with a seed of its own, by which its answer is known."""
    from gradio_client.exceptions import AppError

    try:
        _, _, facts, _ = client.predict(video=handle_file(file), seed=number, steps=2, api_name="/generate")
    except AppError as error:
        said = str(error)
        found.answers["refused in a sentence" if said.rstrip().endswith(".") else "refused without words"] += 1
    except Exception as error:
        found.answers[f"failed: {type(error).__name__}"] += 1
    else:
        found.answers["made"] += 1
        found.foreign += facts["seed"] != number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("clip", type=Path, help="a short clip")
    parser.add_argument("--model", default="compact")
    for name, default in (("requests", 200), ("visitors", 12), ("at-once", 30)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    bounded_heap()  # as where the page is served
    found = crowd(Engine(given.model), given.clip, given.requests, given.visitors, given.at_once)
    print(*found.lines(), sep="\n")


if __name__ == "__main__":
    main()
