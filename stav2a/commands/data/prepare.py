"""`python -m stav2a data prepare`: videos or sounds with captions, or FoleyWorld, as shards to train on."""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path

from stav2a.presets import NAMES


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "source", help="folder of videos or sounds, table of them and captions (CSV, JSON), or the word foleyworld"
    )
    command.add_argument("--out", type=Path, required=True, help="folder for the shards")
    command.add_argument("--videos", type=Path, help="where the table's files lie (default: beside the table)")
    command.add_argument("--caption-column", help="the table's column of captions (default: the first that is known)")
    command.add_argument("--model", choices=NAMES, default="compact", help="whose rates and sizes the clips get")
    command.add_argument("--describe", default="", metavar="MODEL", help="hub model that captions videos without one")
    command.add_argument("--fps", type=float, help="another rate of the pictures than the model's")
    command.add_argument("--frame-size", type=int, help="another size of the pictures, pixels")
    command.add_argument("--sound-only", action="store_true", help="keep the sound of videos alone (text-to-audio)")
    command.add_argument("--parts", default="", help="folder with a trained video_encoder: stores its features too")
    command.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (the output is the same)")
    command.add_argument("--per-shard", type=int, default=64, help="videos a shard")
    command.add_argument("--least-s", type=float, default=1.0, help="shorter rests are left out, seconds")
    command.add_argument("--least-av-align", type=float, default=0.2, help="filter of the paper; 0 switches it off")
    command.add_argument("--least-clap", type=float, default=0.0, help="CLAP of sound and caption, 0.3 in VTA-LDM")
    command.add_argument("--clap-model", default="", help="CLAP's repository or folder")
    command.add_argument("--keep-speech", action="store_true", help="do not refuse captions that tell of speech")
    command.add_argument("--keep-filtered", action="store_true", help="keep what the filters refuse, marked")
    command.add_argument("--detector", choices=("librosa", "attack"), default="librosa", help="of the onset labels")
    command.add_argument("--validation", type=float, default=0.05, help="share of what is accepted kept apart")
    world = command.add_argument_group("foleyworld")
    world.add_argument("--count", type=int, default=64, help="clips to render")
    world.add_argument("--start", type=int, default=0, help="index of the first clip")
    world.add_argument("--split", choices=("train", "val", "test"), default="train")
    world.add_argument("--seed", type=int, default=0)
    world.add_argument("--bank", help="sound bank folder (default: modal synthesis)")
    world.add_argument("--sprites", help="folder of cut-out pictures (default: shapes only)")


def run(args: argparse.Namespace) -> int:
    from stav2a.data.listing import list_sources
    from stav2a.data.prepare import PrepareSettings, Rendered, prepare

    if args.per_shard < 1 or not 0 <= args.validation < 1:
        raise ValueError("--per-shard must be at least 1 and --validation in [0, 1).")
    settings = PrepareSettings(
        model=args.model,
        parts=args.parts,
        least_s=args.least_s,
        least_av_align=args.least_av_align,
        keep_filtered=args.keep_filtered,
        detector=args.detector,
        per_shard=args.per_shard,
        fps=args.fps,
        frame_size=args.frame_size,
        sound_only=args.sound_only,
        keep_speech=args.keep_speech,
        least_clap=args.least_clap,
        clap_model=args.clap_model,
        describer=args.describe,
    )
    if args.source == "foleyworld":
        timeline = settings.timeline
        world = {
            "bank": args.bank,
            "sprites": args.sprites,
            "split": args.split,
            "seed": args.seed,
            "duration_s": timeline.video_window_s,
            "fps": timeline.fps,
            "size": timeline.frame_size,
        }
        settings = replace(settings, world=world)
        sources = [Rendered(index, args.split) for index in range(args.start, args.start + args.count)]
    else:
        sources = list_sources(args.source, args.videos, args.caption_column)
    began = time.perf_counter()
    for done, total in prepare(args.out, sources, settings, args.workers, validation=args.validation):
        print(f"{done} of {total} shards, {time.perf_counter() - began:.1f} s", flush=True)
    summary = json.loads((args.out / "summary.json").read_text())
    print(f"{summary['clips']} clips, {summary['hours']:.2f} h, from {summary['sources']} files: {args.out}")
    for reason, count in sorted(summary["skipped"].items(), key=lambda item: -item[1])[:10]:
        print(f"  left out {count}: {reason}")
    if not summary["clips"]:
        raise ValueError(f"No clip could be used; {args.out / 'skipped.csv'} says why.")
    return 0
