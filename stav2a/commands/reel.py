"""`python -m stav2a reel`: several results one after the other in one video, each under its title."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("videos", type=Path, nargs="+", help="videos, such as those that generate has written")
    parser.add_argument("--titles", nargs="+", default=[], help="one a video (default: the names of the files)")
    parser.add_argument("--out", type=Path, default=Path("reel.mp4"), help="file to write (default: reel.mp4)")


def run(args: argparse.Namespace) -> int:
    from stav2a.listening.reel import write_reel

    print(f"{args.out}: {write_reel(args.videos, args.out, args.titles):.1f} s")
    return 0
