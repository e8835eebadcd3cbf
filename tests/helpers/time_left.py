"""How right the time left is that the page shows: claimed against real, over several runs.

python tests/helpers/time_left.py assets/examples/ball/clip.mp4 --runs 5

`--processor-time` counts the processor time of this process: on a busy machine, that is near the time on a quiet one,
without ffmpeg's.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parents[2]))

from stav2a.generation.engine import Engine
from stav2a.generation.settings import Settings
from stav2a.media.limits import Limits
from stav2a.ui.history import History
from stav2a.ui.line import jobs as line
from stav2a.ui.line.jobs import Job, Jobs
from stav2a.ui.work import generation

EVERY_S = 0.05
FROM_STEP = 2  # of denoising: the first claim that counts
LEAST_S = 0.5  # shorter rests are not shown as a time


def followed(job: Job) -> list[tuple[float, float]]:
    """(claimed, real) seconds left, sampled while `job` runs."""
    seen: list[tuple[float, float]] = []
    counts = False
    while not job.done:
        now, progress, left = line.time.monotonic(), job.progress, job.left_s()
        counts = counts or (progress is not None and progress.stage == "denoise" and progress.step >= FROM_STEP)
        if counts and left is not None:
            seen.append((left, now))
        time.sleep(EVERY_S)
    assert job.error is None, job.error
    return [(left, job.ended - now) for left, now in seen if job.ended - now > LEAST_S]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--model", default="compact")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--processor-time", action="store_true")
    args = parser.parse_args()
    if args.processor_time:
        line.time = SimpleNamespace(monotonic=time.process_time)
    engine, jobs = Engine(args.model), Jobs()
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder))
        for number in range(args.runs):
            settings = Settings(model=args.model, prompt="a ball bounces", seed=number, steps=args.steps)
            began = line.time.monotonic()
            work = generation(engine, history, "visit", args.clip, settings, Limits())
            job = jobs.start("visit", work, "generate", about=(args.clip, settings))
            pairs = followed(job)
            off = [abs(claimed - real) / real for claimed, real in pairs]
            told = f"median {statistics.median(off):.0%}, largest {max(off):.0%}" if off else "too short to tell"
            stages = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in job.timing.spent.items())
            took = line.time.monotonic() - began
            print(f"run {number + 1}: {took:.1f} s; off by {told} ({len(off)} claims); {stages}")


if __name__ == "__main__":
    main()
