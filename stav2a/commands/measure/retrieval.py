"""`python -m stav2a retrieval`: whether picture, sound and caption of test clips find each other in TA-V2A's space."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator

import numpy as np

from stav2a.commands.measure.clip_options import add_clips, check_clips


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="ta-v2a", help="name, folder or repository (default: ta-v2a)")
    add_clips(parser, count=200, real=False)
    parser.add_argument("--split", choices=("val", "test"), default="test", help="of the clips (default: test)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    from stav2a.evaluation.models import retrieval
    from stav2a.media.limits import InputError
    from stav2a.pipeline import STAV2APipeline

    check_clips(args)
    try:
        pipe = STAV2APipeline.from_pretrained(args.model)
        if not hasattr(pipe.system, "text_head"):
            raise ValueError(f"{args.model} has no space of picture, sound and caption; ta-v2a has one.")
        encoder = retrieval.sound_encoder(args.model)
        found = retrieval.table(retrieval.embedded(pipe, encoder, captioned(args, pipe.timeline)))
    except (ValueError, OSError) as error:
        raise InputError(str(error)) from error
    if encoder is None:
        print(f"{args.model} holds no sound encoder: sound is left out.", file=sys.stderr)
    print(json.dumps(found) if args.json else retrieval.markdown(found))
    return 0


def captioned(args: argparse.Namespace, timeline) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(caption, frames, waveform) of the first `--count` clips with a sound of a class."""
    from stav2a.data.foleyworld.world import FoleyWorld

    size = {"duration_s": args.duration, "fps": timeline.fps, "size": timeline.frame_size}
    world = FoleyWorld(args.bank, args.sprites, args.split, **size)
    found = index = 0
    while found < args.count:
        heard = world.sound(index)
        if heard.cls:
            found += 1
            yield heard.caption, world.frames(index), heard.waveform
            if found % 20 == 0:
                print(f"{found} of {args.count} clips", file=sys.stderr, flush=True)
        index += 1
