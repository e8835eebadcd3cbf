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
    parser.add_argument("--split", help="only clips of this split of the manifest (default: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    from stav2a.evaluation.models.real_clips import read_clips, table
    from stav2a.evaluation.models.report import markdown
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
    print(json.dumps(rows) if args.json else markdown({"Real clips": rows}))
    return 0
