"""`python -m stav2a data prepare`: videos and captions, or FoleyWorld, as shards to train on."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

from stav2a.presets import NAMES


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "source", help="folder of videos, table of videos and captions (CSV, JSONL), or the word foleyworld"
    )
    command.add_argument("--out", type=Path, required=True, help="folder for the shards")
    command.add_argument("--videos", type=Path, help="where the table's videos lie (default: beside the table)")
    command.add_argument("--model", choices=NAMES, default="compact", help="whose rates and sizes the clips get")
    command.add_argument("--parts", default="", help="folder with a trained video_encoder: stores its features too")
    command.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (the output is the same)")
    command.add_argument("--per-shard", type=int, default=64, help="videos a shard")
    command.add_argument("--least-s", type=float, default=1.0, help="shorter rests are left out, seconds")
    command.add_argument("--least-av-align", type=float, default=0.2, help="filter of the paper; 0 switches it off")
    command.add_argument("--keep-filtered", action="store_true", help="keep what the filters refuse, marked")
    command.add_argument("--detector", choices=("librosa", "attack"), default="librosa", help="of the onset labels")
    command.add_argument("--validation", type=float, default=0.05, help="share of videos without a split kept apart")
    world = command.add_argument_group("foleyworld")
    world.add_argument("--count", type=int, default=64, help="clips to render")
    world.add_argument("--start", type=int, default=0, help="index of the first clip")
    world.add_argument("--split", choices=("train", "val", "test"), default="train")
    world.add_argument("--seed", type=int, default=0)
    world.add_argument("--bank", help="sound bank folder (default: modal synthesis)")
    world.add_argument("--sprites", help="folder of cut-out pictures (default: shapes only)")


def run(args: argparse.Namespace) -> int:
    from stav2a.presets import TIMELINES

    from .listing import list_sources, with_splits
    from .prepare import Rendered, Settings, prepare

    if args.per_shard < 1 or not 0 <= args.validation < 1:
        raise ValueError("--per-shard must be at least 1 and --validation in [0, 1).")
    world = None
    if args.source == "foleyworld":
        timeline = TIMELINES[args.model]
        world = {
            "bank": args.bank,
            "sprites": args.sprites,
            "split": args.split,
            "seed": args.seed,
            "duration_s": timeline.video_window_s,
            "fps": timeline.fps,
            "size": timeline.frame_size,
        }
        sources = [Rendered(index, args.split) for index in range(args.start, args.start + args.count)]
    else:
        sources = with_splits(list_sources(args.source, args.videos), args.validation)
    settings = Settings(
        args.model,
        args.parts,
        args.least_s,
        args.least_av_align,
        args.keep_filtered,
        args.detector,
        args.per_shard,
        world,
    )
    began = time.perf_counter()
    for done, total in prepare(args.out, sources, settings, args.workers):
        print(f"{done} of {total} shards, {time.perf_counter() - began:.1f} s", flush=True)
    summary = json.loads((args.out / "summary.json").read_text())
    print(f"{summary['clips']} clips, {summary['hours']:.2f} h, from {summary['sources']} videos: {args.out}")
    for reason, count in sorted(summary["skipped"].items(), key=lambda item: -item[1])[:10]:
        print(f"  left out {count}: {reason}")
    if not summary["clips"]:
        raise ValueError(f"No clip could be used; {args.out / 'skipped.csv'} says why.")
    return 0
