"""Score a folder of generated sounds against the real ones."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stav2a.evaluation.folders.pairs import Pair
from stav2a.evaluation.folders.pool import measure_all
from stav2a.evaluation.folders.shuffled import shuffled
from stav2a.evaluation.folders.summary import markdown, summarise, write_csv
from stav2a.evaluation.folders.work import Plan, Record, prepare
from stav2a.metrics.classifier import Unavailable

CHANCES = ("shifted", "shuffled")  # in time; among clips


@dataclass
class Evaluation:
    """Everything one folder gave."""

    records: list[Record]
    skipped: list[dict[str, str]]
    metrics: dict[str, dict]
    pairs_per_second: float

    def to_json(self) -> dict:
        return {
            "n": sum(not record.error for record in self.records),
            "skipped": self.skipped,
            "remarks": {record.stem: record.remarks for record in self.records if record.remarks},
            "metrics": self.metrics,
            "pairs_per_second": self.pairs_per_second,
            "seconds_a_pair": self.seconds_a_pair(),
        }

    def seconds_a_pair(self) -> dict[str, float]:
        """Where time goes: mean seconds of a pair by part of the work, as first computed."""
        done = [record.seconds for record in self.records if record.seconds]
        names = dict.fromkeys(name for seconds in done for name in seconds)
        return {name: sum(s.get(name, 0.0) for s in done) / len(done) for name in names}


def evaluate(
    pairs: Sequence[Pair],
    plan: Plan,
    workers: int | None = None,
    skipped: Sequence[dict] = (),
    progress: bool = False,
    chance: str = "shifted",
) -> Evaluation:
    """Score pairs in `workers` processes (default: one a core; 1: in this process); chance: one of `CHANCES`."""
    started = time.monotonic()
    results = measure_all(pairs, plan, workers or os.cpu_count() or 1)
    if progress:
        from tqdm import tqdm

        results = tqdm(results, total=len(pairs), unit="pair", file=sys.stderr)
    records = sorted(results, key=lambda record: record.stem)
    seconds = time.monotonic() - started
    failed = [{"file": record.stem, "reason": record.error} for record in records if record.error]
    failed += [{"file": record.stem, "reason": reason} for record in records for reason in record.failures]
    judged = shuffled(records, plan.trials, plan.seed) if chance == "shuffled" else records
    return Evaluation(records, [*skipped, *failed], summarise(judged, plan.seed), len(pairs) / max(seconds, 1e-9))


def available_plan(plan: Plan) -> tuple[Plan, list[str]]:
    """The plan without networks that cannot be had here, and a sentence for each of them."""
    import dataclasses

    sentences: list[str] = []

    def works(**only) -> bool:
        try:
            prepare(Plan(**{"networks": (), **only}))
        except Unavailable as error:
            sentences.append(str(error))
            return False
        return True

    networks = tuple(name for name in plan.networks if works(networks=(name,)))
    judged = (plan.clap or plan.pam) and works(clap=True, clap_model=plan.clap_model)
    clap, pam = plan.clap and judged, plan.pam and judged
    align = plan.align if plan.align and works(align=plan.align) else ""
    cavp = plan.cavp if plan.cavp and works(cavp=plan.cavp, cavp_model=plan.cavp_model) else ""
    return dataclasses.replace(plan, networks=networks, clap=clap, pam=pam, align=align, cavp=cavp), sentences


def write_results(out: Path, result: Evaluation) -> None:
    """clips.csv, metrics.json and metrics.md."""
    write_csv(out / "clips.csv", result.records)
    (out / "metrics.json").write_text(json.dumps(result.to_json(), indent=1) + "\n", encoding="utf-8")
    (out / "metrics.md").write_text(markdown(result.metrics), encoding="utf-8")
