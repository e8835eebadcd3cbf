"""`python -m stav2a steering`: what each scale of TA-V2A's guidance steers, a table."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from stav2a.commands.measure.clip_options import add_clips, check_clips

VALUES = (0.0, 1.0, 2.5, 5.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="ta-v2a", help="name, folder or repository (default: ta-v2a)")
    add_clips(parser, count=32, real=False)
    parser.add_argument("--split", choices=("val", "test"), default="test", help="of the clips (default: test)")
    values = ", ".join(f"{value:g}" for value in VALUES)
    parser.add_argument("--values", type=float, nargs="+", default=VALUES, help=f"of every scale (default: {values})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to this file")


def run(args: argparse.Namespace) -> int:
    from stav2a.evaluation.models import steering
    from stav2a.evaluation.models.judged import rendered
    from stav2a.media.limits import InputError
    from stav2a.metrics.bank_classifier import known_classes
    from stav2a.pipeline import STAV2APipeline

    check_clips(args)
    try:
        pipe = STAV2APipeline.from_pretrained(args.model)
        if missing := [name for name, _ in steering.SCALES.values() if name not in scales(pipe)]:
            raise ValueError(f"{args.model} has no {missing[0]}; ta-v2a weighs caption, negative caption and picture.")
        clips, videos = [], []
        for clip, frames in rendered(pipe.timeline, args.bank, args.sprites, args.count, args.split, args.duration):
            if clip.cls in known_classes():
                clips.append(clip)
                videos.append(pipe.encode_video(frames))
        rows = []
        for row in steering.steered(pipe, clips, videos, args.values):
            rows.append(row)
            print(f"{row['scale']} {row['value']:g}: done", file=sys.stderr, flush=True)
    except (ValueError, OSError) as error:
        raise InputError(str(error)) from error
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(f"n = {len(clips)}\n\n{steering.markdown(rows)}")
    return 0


def scales(pipe) -> set[str]:
    return {"guidance_scale", *pipe.dials}
