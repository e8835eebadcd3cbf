"""Processor time of a grid of Explore: 18 cells of one clip, by one thread.

OMP_NUM_THREADS=1 python tests/helpers/grid_cost.py clip.mp4
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2])]

from stav2a.generation.engine import Engine  # noqa: E402
from stav2a.generation.settings import Settings  # noqa: E402
from stav2a.generation.variants import grid  # noqa: E402
from stav2a.ui.compare import entries  # noqa: E402
from stav2a.ui.history import History  # noqa: E402
from stav2a.ui.page import LIMITS  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--steps", type=int, nargs="+", default=[3, 6, 12])
    given = parser.parse_args()
    engine, base = Engine("compact"), Settings(prompt="a hammer strikes metal").validated()
    cells = grid(base, [1, 2, 3, 5, 7, 10], given.steps)
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder))
        for asked in (cells[:1], cells):  # the first loads everything
            began = time.process_time()
            work = entries.rendering(engine, history, history.visit(None), given.clip, asked, LIMITS, listed=False)
            for _ in work(lambda: False):
                pass
            print(f"{len(asked)} cells: {time.process_time() - began:.1f} s of processor time")


if __name__ == "__main__":
    main()
