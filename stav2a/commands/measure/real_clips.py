"""`python -m stav2a real-clips`: how well models see when things sound in real clips, by kind of event."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, nargs="+", help="real clips with their own sound, and a manifest.csv")
    parser.add_argument("--model", default="compact", help="name, folder or repository (default: compact)")
    parser.add_argument("--against", help="a second model; its paired difference to the first one is given as well")
    parser.add_argument("--split", help="only this split of manifests that have splits (default: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    from stav2a.evaluation.models.real_clips import read_clips, table
    from stav2a.media.limits import InputError
    from stav2a.pipeline import STAV2APipeline

    try:
        names = dict.fromkeys([args.model, *([args.against] if args.against else [])])
        pipes = {name: STAV2APipeline.from_pretrained(name) for name in names}
        clips = []
        for folder in args.folder:
            for clip in read_clips(pipes, folder, args.split):
                clips.append(clip)
                print(f"\r{len(clips)} clips", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        rows = table(clips, differences=len(pipes) > 1)
    except (ValueError, OSError) as error:
        raise InputError(str(error)) from error
    print(json.dumps(rows) if args.json else wide(rows))
    return 0


def wide(rows: dict[str, dict]) -> str:
    """Markdown: a line for every predictor and group, a column for every figure, "value (95 % interval)"."""
    lines: dict[str, dict[str, dict]] = {}
    for name, row in rows.items():
        who, _, figure = name.removesuffix(", gain").partition(": ")
        lines.setdefault(who, {})[figure] = row
    figures = list(dict.fromkeys(figure for found in lines.values() for figure in found))
    table = ["| gain over chance | n | " + " | ".join(figures) + " |", "| --- | ---: |" + " ---: |" * len(figures)]
    for who, found in lines.items():
        n = next(iter(found.values()))["n"]
        table.append(f"| {who} | {n} | " + " | ".join(_cell(found[figure]) for figure in figures) + " |")
    return "\n".join(table)


def _cell(row: dict) -> str:
    low, high = row["ci95"]
    return f"{row['value']:+.3f} ({low:+.3f} … {high:+.3f})"
