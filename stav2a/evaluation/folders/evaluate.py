"""python -m stav2a evaluate: score a folder of generated sounds against the real ones."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stav2a.evaluation.folders.pairs import Pair, find_pairs
from stav2a.evaluation.folders.pool import measure_all
from stav2a.evaluation.folders.shuffled import shuffled
from stav2a.evaluation.folders.summary import markdown, summarise, write_csv
from stav2a.evaluation.folders.work import Plan, Record, prepare
from stav2a.metrics.classifier import LOADERS, Unavailable
from stav2a.presets import NAMES

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reference", help="folder of the real sounds or clips")
    parser.add_argument("--generated", help="folder of the generated ones, paired by file name without suffix")
    parser.add_argument("--videos", help="folder of the videos, for AV-Align")
    parser.add_argument("--captions", help="CSV, JSONL (file, caption, class) or JSON, for CLAP score and class")
    parser.add_argument("--out", help="folder of results and stored parts (default: GENERATED_evaluation)")
    parser.add_argument("--networks", nargs="*", default=["bank"], choices=list(LOADERS), help="for FD, KL and IS")
    parser.add_argument("--clap", action="store_true", help="CLAP score of sound and caption, by LAION's CLAP")
    parser.add_argument("--pam", action="store_true", help="PAM's question, whether a sound is clean, by the same")
    parser.add_argument("--clap-model", default="", metavar="MODEL", help="CLAP's repository or folder")
    parser.add_argument(
        "--align", nargs="?", const="ta-v2a", default="", metavar="MODEL",
        help="Align Acc, by the classifier of this model (default: ta-v2a); needs --videos",
    )  # fmt: skip
    parser.add_argument("--cavp", default="", metavar="PARTS", help="CAVP score, by the encoders of `train video`")
    parser.add_argument("--cavp-model", choices=NAMES, default="compact", help="the size that they were trained as")
    parser.add_argument(
        "--seconds", type=float, help="score the first seconds of every clip alone, as 4 and 8 in Table I"
    )
    parser.add_argument(
        "--chance", choices=CHANCES, default="shifted", help="chance level by shifts in time (default) or other clips"
    )
    parser.add_argument("--trials", type=int, default=20, help="chance trials a clip")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, help="processes (default: one a core)")
    parser.add_argument("--table", metavar="FILE", help="ablation table instead: a YAML file, see metrics/ablation.py")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def plan_of(args: argparse.Namespace, cache: Path) -> Plan:
    if args.trials < 1:
        raise ValueError(f"--trials must be at least 1, not {args.trials}")
    if args.seconds is not None and not 0.1 <= args.seconds <= 3600:
        raise ValueError(f"--seconds must lie between 0.1 and 3600, not {args.seconds:g}")
    plan = Plan(
        tuple(args.networks),
        args.clap,
        args.pam,
        args.clap_model,
        args.align,
        args.cavp,
        args.cavp_model,
        args.seconds,
        args.trials,
        args.seed,
        str(cache),
    )
    plan, sentences = available_plan(plan)
    for sentence in sentences:
        print(f"left out: {sentence}", file=sys.stderr)
    return plan


def run(args: argparse.Namespace) -> int:
    try:
        if args.table:
            from stav2a.evaluation.folders.ablation import run_table

            return run_table(args)
        if not args.reference or not args.generated:
            raise ValueError("--reference and --generated are needed, or --table.")
        pairs, skipped = find_pairs(args.reference, args.generated, args.videos, args.captions)
        if not pairs:
            raise ValueError(f"{args.reference} and {args.generated} have no file name in common.")
        generated = Path(args.generated).resolve()
        out = Path(args.out) if args.out else generated.with_name(f"{generated.name}_evaluation")
        plan = plan_of(args, out / "stored")
        out.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    result = evaluate(pairs, plan, args.workers, skipped, True, args.chance)
    write_results(out, result)
    if args.json:
        print(json.dumps(result.to_json()))
    else:
        print(markdown(result.metrics))
        print(f"{result.to_json()['n']} pairs, {len(result.skipped)} skipped; details in {out}")
        for item in result.skipped[:20]:
            print(f"skipped {item['file']}: {item['reason']}")
    return 0


def write_results(out: Path, result: Evaluation) -> None:
    """clips.csv, metrics.json and metrics.md."""
    write_csv(out / "clips.csv", result.records)
    (out / "metrics.json").write_text(json.dumps(result.to_json(), indent=1) + "\n", encoding="utf-8")
    (out / "metrics.md").write_text(markdown(result.metrics), encoding="utf-8")
