"""`python -m stav2a dials`: a table of what steps and guidance cost and bring."""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

from stav2a.commands.measure.clip_options import add_clips, check_clips
from stav2a.dials import SAMPLERS
from stav2a.evaluation.models.dials import HEAD, HeardClips, Row, limits, line, measured
from stav2a.evaluation.models.judged import recorded, rendered
from stav2a.metrics.classifier import LOADERS, Unavailable
from stav2a.models import precision


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="compact", help="name, folder or repository (default: compact)")
    add_clips(parser, count=64, clips=", and manifest.csv, instead")
    parser.add_argument("--split", choices=("val", "test"), default="test", help="of the clips; choose settings on val")
    own = "default: the checkpoint's"
    parser.add_argument("--steps", type=int, nargs="+", help=f"denoising steps ({own})")
    parser.add_argument("--guidance", type=float, nargs="+", help=f"text guidance ({own})")
    parser.add_argument("--video-guidance", type=float, nargs="+", help=f"video guidance ({own}, 0: as the text's)")
    parser.add_argument("--share", type=float, nargs="+", help=f"share of the steps that is guided ({own})")
    parser.add_argument("--power", type=float, nargs="+", help=f"how timesteps crowd towards the end ({own})")
    parser.add_argument("--rescale", type=float, nargs="+", help=f"rescaling of the guided prediction ({own})")
    parser.add_argument("--strength", type=float, nargs="+", help=f"from a recording (0) to noise alone (1) ({own})")
    parser.add_argument("--sampler", nargs="+", choices=SAMPLERS, help=f"samplers ({own})")
    parser.add_argument(
        "--listener", choices=LOADERS, help="network that also says which real sound each one is nearest to"
    )
    parser.add_argument("--draws", type=int, choices=(1, 2), default=2, help="seeds a clip; 2 also tell the diversity")
    parser.add_argument("--dtype", choices=precision.CHOICES, default="auto", help="of the networks (default: auto)")
    parser.add_argument("--figure", type=Path, metavar="PNG", help="draw the rows as curves over the dial that turns")
    parser.add_argument(
        "--sheet", type=Path, metavar="PICTURE", help="draw what the first ten clips sound like in each row"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a row")


def run(args: argparse.Namespace) -> int:
    from stav2a.evaluation.models.dials_figure import SHEET_CLIPS, figure, sheet, turned
    from stav2a.media.limits import InputError
    from stav2a.pipeline import STAV2APipeline

    check_clips(args)
    if args.bank is not None and args.clips is not None:
        raise InputError("Give --bank for FoleyWorld's clips, or --clips for real ones, not both.")
    try:
        pipe = STAV2APipeline.from_pretrained(args.model, dtype=precision.dtype_for("cpu", args.dtype))
        wanted = combinations(args, pipe.defaults)
        if args.figure:
            turned([vars(dials) for dials in wanted])  # refuses at once what could not be drawn in the end
        if args.clips is None:
            samples = rendered(pipe.timeline, args.bank, args.sprites, args.count, args.split, args.duration)
        else:
            samples = recorded(pipe.timeline, args.clips, args.count, args.split)
        clips = HeardClips(pipe, samples, args.listener)
    except (ValueError, OSError, Unavailable) as error:
        raise InputError(str(error)) from error
    if not args.json:
        print(HEAD)
    rows, sounds = [], []
    for row, waves in itertools.chain(limits(pipe, clips), (measured(pipe, clips, d, args.draws) for d in wanted)):
        print(json.dumps(row) if args.json else line(row), flush=True)
        rows.append(row)
        sounds.append(waves[:SHEET_CLIPS])
    turning = [row for row in rows if "sound" not in row]
    for path, drawn in (
        (args.figure, lambda: figure(turning)),
        (args.sheet, lambda: sheet(clips.clips, rows, sounds, pipe.timeline)),
    ):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            drawn().savefig(path, dpi=110)
    return 0


def combinations(args: argparse.Namespace, own: dict) -> list[Row]:
    """Every combination, cheapest first; a video guidance of 0 takes the text's value."""
    lists = (
        args.steps or [own["steps"]],
        args.guidance or [own["guidance_scale"]],
        args.video_guidance or [own["video_guidance_scale"]],
        args.share or [own["guided_share"]],
        args.power or [own["timestep_power"]],
        args.rescale or [own["guidance_rescale"]],
        [own["strength"]] if args.strength is None else args.strength,
        args.sampler or [own["sampler"]],
    )
    rows = {Row(s, w, v or w, *rest) for s, w, v, *rest in itertools.product(*lists)}
    return sorted(rows, key=lambda d: (d.evaluations(), *vars(d).values()))
