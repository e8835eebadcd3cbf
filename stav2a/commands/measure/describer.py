"""`python -m stav2a describer`: how often the built-in describer is right on real clips, and what captions bring."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, nargs="+", help="real clips with their own sound, and a manifest.csv")
    parser.add_argument("--split", help="only clips of this split of the manifest (default: all)")
    parser.add_argument("--captions", metavar="MODEL", help="also name with what this model finds, such as ta-v2a")
    parser.add_argument("--sound", metavar="MODEL", help="also generate with this model, with and without captions")
    parser.add_argument("--seconds", type=float, help="generate for the beginning of each clip only")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    from stav2a.commands.measure.report import markdown
    from stav2a.evaluation.models import captioned, naming
    from stav2a.generation.engine import Engine
    from stav2a.media.limits import InputError

    def counted(what: str, function, *given) -> list:
        found = []
        for folder in args.folder:
            in_folder = args.split if has_splits(folder) else None
            for item in function(*given, folder, in_folder):
                found.append(item)
                print(f"\r{what}: {len(found)} clips", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        return found

    try:
        tables = {"Named": naming.table(counted("named", naming.namings, None))}
        if args.captions:
            finder = naming.found_by(Engine(args.captions).pipeline())
            tables[f"Named by {args.captions}"] = naming.table(counted("named", naming.namings, finder))
        if args.sound:
            pipe = Engine(args.sound).pipeline()
            clips = counted("generated", captioned.generated, pipe, args.seconds)
            tables[f"Sound of {args.sound}"] = captioned.table(clips)
    except (ValueError, OSError) as error:
        raise InputError(str(error)) from error
    print(json.dumps(tables) if args.json else markdown(tables))
    return 0


def has_splits(folder: Path) -> bool:
    """A folder whose manifest knows no splits is taken whole."""
    if not (folder / "manifest.csv").is_file():
        raise ValueError(f"{folder} has no manifest.csv, which says what is heard in its clips.")
    with (folder / "manifest.csv").open(encoding="utf-8") as lines:
        return "split" in lines.readline().strip().split(",")
