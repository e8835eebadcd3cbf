"""`python -m stav2a example`: generate sound for a clip once, and store it as an example of the page."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="folder of assets/examples to write")
    parser.add_argument("clip", type=Path, help="video file")
    parser.add_argument("--prompt", default="", help="caption")
    parser.add_argument("--seed", type=int, default=0, help="seed (default: 0)")
    parser.add_argument("--model", default="compact", help="model (default: compact)")


def run(args: argparse.Namespace) -> int:
    from stav2a.generation.engine import Engine
    from stav2a.generation.settings import Settings
    from stav2a.ui.generate.examples import write

    settings = Settings(prompt=args.prompt, seed=args.seed, model=args.model).validated()
    print(write(args.name, args.clip, settings, Engine(settings.model)).label)
    return 0
