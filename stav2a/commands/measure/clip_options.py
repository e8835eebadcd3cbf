"""Options that say on which clips a model is measured; the commands of this folder share them."""

from __future__ import annotations

import argparse
from pathlib import Path

from stav2a.media.limits import InputError


def add_clips(
    parser: argparse.ArgumentParser, count: int, bank_required: bool = False, clips: str = "", real: bool = True
) -> None:
    """count: default of `--count`; clips: what is said of `--clips` after its folder; real: whether there is `--clips`.

    Without real clips the bank is required.
    """
    parser.add_argument(
        "--bank",
        type=Path,
        required=bank_required or not real,
        help="folder of the sound bank: FoleyWorld's clips are rendered",
    )
    parser.add_argument("--sprites", type=Path, help="folder of cut-out pictures")
    if real:
        parser.add_argument("--clips", type=Path, help=f"folder of real clips with their real sound{clips}")
    parser.add_argument("--count", type=int, default=count, help=f"clips, at least 2 (default: {count})")
    parser.add_argument("--duration", type=float, default=5.12, help="seconds a FoleyWorld clip (default: 5.12)")


def check_clips(args: argparse.Namespace) -> None:
    if args.count < 2:
        raise InputError(f"The count is {args.count}; at least 2 clips are needed.")
    if args.bank is None and args.clips is None:
        raise InputError("Give --bank for FoleyWorld's clips, --clips for real ones, or both.")
