"""How fast an evaluation runs and where its time goes: python -m stav2a.evaluation.folders.speed [--pairs 100]

Makes pairs of 10 s sounds in a temporary folder, evaluates them with nothing stored, and prints one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from stav2a.evaluation.folders.evaluate import available_plan, evaluate
from stav2a.evaluation.folders.pairs import find_pairs
from stav2a.evaluation.folders.work import Plan

RATE = 16_000


def sound(rng: np.random.Generator, duration_s: float = 10.0, events: int = 30) -> np.ndarray:
    """Decaying noise bursts over faint noise: float32 [S] at 16 kHz."""
    waveform = 1e-3 * rng.standard_normal(round(duration_s * RATE))
    decay = 0.3 * np.exp(-np.arange(RATE // 4) / (0.03 * RATE))
    for start in rng.integers(0, len(waveform) - len(decay), events):
        waveform[start : start + len(decay)] += decay * rng.standard_normal(len(decay))
    return waveform.astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--networks", nargs="*", default=[], help="of `stav2a evaluate`; none by default")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for side in ("real", "made"):
            (Path(folder) / side).mkdir()
            for index in range(args.pairs):
                soundfile.write(Path(folder) / side / f"{index}.wav", sound(rng), RATE)
        pairs, _ = find_pairs(Path(folder) / "real", Path(folder) / "made")
        plan, _ = available_plan(Plan(networks=tuple(args.networks)))
        result = evaluate(pairs, plan, args.workers, progress=True)
    seconds = result.seconds_a_pair()
    report = {
        "pairs": args.pairs,
        "workers": args.workers,
        "pairs_per_second": round(result.pairs_per_second, 2),
        "minutes_for_1000_pairs": round(1000 / result.pairs_per_second / 60, 2),
        # what stays the same on a busy machine
        "processor_minutes_for_1000_pairs": round(1000 * seconds["processor"] / 60, 2),
        "seconds_a_pair": {name: round(value, 4) for name, value in seconds.items()},
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
