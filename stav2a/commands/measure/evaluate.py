"""`python -m stav2a evaluate`: score a folder of generated sounds against the real ones, or a table of such folders."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from stav2a.evaluation.folders.ablation import evaluate_table, read_table
from stav2a.evaluation.folders.evaluate import CHANCES, available_plan, evaluate, write_results
from stav2a.evaluation.folders.pairs import find_pairs
from stav2a.evaluation.folders.summary import markdown
from stav2a.evaluation.folders.work import Plan
from stav2a.metrics.classifier import LOADERS
from stav2a.presets import NAMES


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
    parser.add_argument("--table", metavar="FILE", help="ablation table instead: a YAML file (docs/metrics.md)")
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


def run_table(args: argparse.Namespace, load: Callable | None = None) -> int:
    """An ablation table; `load` as in `evaluate_table`."""
    table = read_table(args.table)
    out = Path(args.out) if args.out else Path(args.table).with_suffix("")
    report, text = evaluate_table(table, out, plan_of(args, out / "stored"), args.workers, args.chance, load)
    print(json.dumps(report) if args.json else text)
    return 0
