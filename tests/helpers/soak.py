"""Requests one after another against a served page, and what they leave behind.

    PYTHONPATH=. python tests/helpers/soak.py CLIP --model tiny --requests 100

Every fourth request succeeds, is refused for its file, is refused for a number, or is cancelled on its way. The
table shows files, open descriptors, threads, child processes and memory of the server after each quarter; what
grows from the second row to the last is a leak. Results themselves are kept for visitors for two hours; of those
made through the endpoints the last few are.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from stav2a.generation.engine import Engine
from stav2a.generation.settings import Settings
from stav2a.ui.endpoints import VISIT
from stav2a.ui.page import create_demo
from stav2a.ui.serve.launch import bounded_heap, launch_options
from stav2a.ui.work import generation

KINDS = ("made", "refused file", "refused number", "cancelled")


@dataclass(frozen=True)
class Room:
    """What the server holds: run folders and unfinished ones, descriptors, threads, children, megabytes."""

    runs: int
    unfinished: int
    descriptors: int
    threads: int
    children: int
    memory_mb: float

    @classmethod
    def of(cls, root: Path) -> Room:
        gc.collect()
        folders = [folder for visit in root.glob("*") if visit.is_dir() for folder in visit.iterdir()]
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        resident_kb = int(status.split("VmRSS:")[1].split()[0])
        return cls(
            runs=len(folders),
            unfinished=sum(not (folder / "run.json").exists() for folder in folders)
            + len(list(root.rglob(".partial-*"))),
            descriptors=len(os.listdir("/proc/self/fd")),
            threads=threading.active_count(),
            children=sum(1 for _ in children()),
            memory_mb=resident_kb / 1024,
        )


def children() -> Iterator[int]:
    """Process ids of this process's children, those that wait to be reaped as well."""
    for task in Path("/proc/self/task").iterdir():
        yield from map(int, (task / "children").read_text(encoding="utf-8").split())


def soak(engine: Engine, clip: Path, requests: int, rows: int = 4) -> Iterator[tuple[int, Room]]:
    """Yield (requests so far, what the server holds) at first and after each of `rows` equal parts."""
    from gradio_client import Client, handle_file

    with tempfile.TemporaryDirectory(prefix="stav2a-soak-") as folder:
        root = Path(folder) / "runs"
        bad = Path(folder) / "bad.mp4"
        bad.write_bytes(b"no video\n" * 100)
        demo = create_demo(engine, root=root, ratings=Path(folder) / "ratings.sqlite")
        options = {**launch_options(), "mcp_server": False}
        _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **options)
        try:
            client = Client(url, verbose=False)
            settings = {"model": engine.default_model, "steps": 2}
            client.predict(video=handle_file(clip), **settings, api_name="/generate")  # loads the model
            yield 0, Room.of(root)
            for number in range(1, requests + 1):
                kind = KINDS[number % len(KINDS)]
                if kind == "cancelled":
                    _cancelled(demo.stav2a, clip)
                else:
                    file, change = bad if kind == "refused file" else clip, {}
                    if kind == "refused number":
                        change = {"guidance_scale": 1e9}
                    _asked(client, handle_file(file), {**settings, **change}, refused=kind != "made")
                if number % max(requests // rows, 1) == 0:
                    yield number, Room.of(root)
        finally:
            demo.close()


def _asked(client, file, settings: dict, refused: bool) -> None:
    from gradio_client.exceptions import AppError

    try:
        client.predict(video=file, **settings, api_name="/generate")
    except AppError as sentence:
        if not refused:
            raise RuntimeError(f"a good request was refused: {sentence}") from sentence
    else:
        if refused:
            raise RuntimeError("a bad request was not refused")


def _cancelled(shared, clip: Path) -> None:
    """A visitor's run that is stopped in the middle of its steps."""
    settings = Settings(model=shared.engine.default_model, steps=200).validated()
    work = generation(shared.engine, shared.history, VISIT, clip, settings, shared.limits)
    job = shared.jobs.start(VISIT, work, "generate")
    while not job.done and (job.progress is None or job.progress.step < 2):
        time.sleep(0.01)
    shared.jobs.cancel(VISIT)
    job.join(120)
    if job.error is not None or job.outcome is not None:
        raise RuntimeError(f"a run could not be cancelled: {job.error}")


def grown(first: Room, last: Room) -> dict[str, float]:
    return {name: round(value - asdict(first)[name], 1) for name, value in asdict(last).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("clip", type=Path, help="a short clip")
    parser.add_argument("--model", default="compact")
    parser.add_argument("--requests", type=int, default=100)
    given = parser.parse_args()
    bounded_heap()  # as where the page is served
    rooms = []
    names = list(Room.__dataclass_fields__)
    print("requests", *names, sep="\t", flush=True)
    for number, room in soak(Engine(given.model), given.clip, given.requests):
        rooms.append(room)
        print(number, *(f"{value:g}" for value in asdict(room).values()), sep="\t", flush=True)
    print("grown since the first quarter:", grown(rooms[1], rooms[-1]))


if __name__ == "__main__":
    main()
