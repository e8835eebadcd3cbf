"""Whether the joins of a clip that was made in parts click: steps from sample to sample there and elsewhere.

python tests/helpers/joins.py made/clip
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import soundfile
from scipy.stats import mannwhitneyu

NEAR_S = 0.005
ELSEWHERE = 5000


def largest_steps(waveform: np.ndarray, rate: int, times_s: np.ndarray) -> np.ndarray:
    """Largest step between neighbouring samples within NEAR_S of each time."""
    steps, near = np.abs(np.diff(waveform)), round(NEAR_S * rate)
    return np.array([steps[max(0, round(t * rate) - near) : round(t * rate) + near].max() for t in times_s])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="output folder of the clip")
    folder = parser.parse_args().folder
    record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    waveform, rate = soundfile.read(folder / Path(record["out_audio"]).name, dtype="float32")
    joins_s = np.array([part["start_s"] for part in record["parts"][1:]])
    others_s = np.random.default_rng(0).uniform(2, len(waveform) / rate - 2, ELSEWHERE)
    joins, others = (largest_steps(waveform, rate, times_s) for times_s in (joins_s, others_s))
    for name, found in (("joins", joins), ("elsewhere", others)):
        print(f"{name}: n {len(found)}, median {np.median(found):.3f}, 95th percentile {np.percentile(found, 95):.2f}")
    print(f"larger at joins: p = {mannwhitneyu(joins, others, alternative='greater').pvalue:.2g} (Mann-Whitney)")


if __name__ == "__main__":
    main()
