"""`python -m stav2a example`: store results for a clip on the page, as an example or as a set of models in Compare."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="folder of assets/examples (of assets/sets with --systems) to write")
    parser.add_argument("clip", type=Path, help="video file")
    parser.add_argument("--prompt", default="", help="caption")
    parser.add_argument("--seed", type=int, default=0, help="seed (default: 0)")
    parser.add_argument("--model", default="compact", help="model (default: compact)")
    parser.add_argument(
        "--systems", nargs="?", const="all", metavar="NAMES",
        help="write a set instead: one sound by each of these models (default: all that are installed)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    from stav2a import systems
    from stav2a.generation.engine import Engine
    from stav2a.generation.settings import Settings
    from stav2a.ui.compare import ready
    from stav2a.ui.generate import examples

    settings = Settings(prompt=args.prompt, seed=args.seed, model=args.model).validated()
    engine = Engine(settings.model)
    if args.systems is None:
        print(examples.write(args.name, args.clip, settings, engine).label)
        return 0
    names = systems.present() if args.systems == "all" else args.systems.split(",")
    models = ["compact" if name == systems.OWN else name for name in names]
    print(ready.write(args.name, args.clip, settings, models, engine))
    return 0
