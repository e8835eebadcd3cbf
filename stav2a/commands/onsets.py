"""`python -m stav2a onsets`: onsets of clips, predicted from their frames."""

from __future__ import annotations

import argparse
import json
import sys

from stav2a.generation.onsets import find_onsets
from stav2a.generation.settings import Settings
from stav2a.media import InputError
from stav2a.media.clip_files import collect, number, shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clips", nargs="+", metavar="CLIP", help="video file, or a folder of them")
    parser.add_argument("--model", default="compact", help="compact (built in), paper, tiny, a folder or a repository")
    parser.add_argument("--start", type=number, default=0.0, help="where the used part begins, in seconds")
    parser.add_argument("--length", type=number, default=None, help="its length in seconds; without: to the end")
    parser.add_argument("--device", help="cpu, cuda, mps; without: the best there is")
    parser.add_argument("--describe", action="store_true", help="say what is seen to sound as well, where it is sure")
    parser.add_argument("--json", action="store_true", help="print one JSON object a clip, which --onsets reads")


def run(args: argparse.Namespace) -> int:
    from stav2a.generation.describe import suggestions
    from stav2a.generation.engine import Engine

    settings = Settings(model=args.model, start_s=args.start, length_s=args.length).validated()
    engine = Engine(settings.model, args.device)
    if args.device:
        engine.check_device()
    failed = 0
    for clip in collect(args.clips):
        try:
            found = predict(engine, clip, settings)
            if args.describe:
                seen = suggestions(clip, settings.start_s, settings.length_s)
                found["seen"] = [suggestion.to_json() for suggestion in seen]
        except InputError as error:
            failed += 1
            print(f"{shown(clip)}: {error}", file=sys.stderr, flush=True)
            continue
        if args.json:
            print(json.dumps(found), flush=True)
        else:
            times = " ".join(f"{t:.2f}" for t in found["onsets_s"]) or "no onsets"
            named = "; ".join(one["caption"] for one in found["seen"]) or "not sure" if args.describe else ""
            print(f"{shown(clip)}: {times}{f' ({named})' if named else ''}", flush=True)
    return 2 if failed else 0


def predict(engine, clip, settings: Settings) -> dict:
    *_, found = find_onsets(engine, clip, settings)
    return {
        "clip": str(clip),
        "onsets_s": found.onsets_s,
        "onset_curve": found.curve,
        "step_s": found.latent_frame_s,
        "start_s": settings.start_s,
        "duration_s": round(found.duration_s, 6),
        "seconds": round(found.seconds, 4),
        "rtf": round(found.seconds / found.duration_s, 4),
    }
