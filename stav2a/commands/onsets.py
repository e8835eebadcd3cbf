"""`python -m stav2a onsets`: when things happen in a clip, from its pictures alone."""

from __future__ import annotations

import argparse
import json
import sys
import time

from stav2a.generation.result import rounded
from stav2a.generation.settings import Settings
from stav2a.media import InputError, probe, read_for_model
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
    from stav2a.generation.describe import look
    from stav2a.generation.engine import Engine

    settings = Settings(model=args.model, start_s=args.start, length_s=args.length).validated()
    engine = Engine(settings.model, args.device)
    failed = 0
    for clip in collect(args.clips):
        try:
            found = predict(engine, clip, settings)
            if args.describe:
                seen = look(clip, settings.start_s, settings.length_s)
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
    if not engine.has(settings.model):
        probe(clip)  # an unusable file is refused before a model is loaded for it
    pipeline = engine.pipeline(settings.model)
    start = time.perf_counter()
    read = read_for_model(clip, pipeline.timeline, settings.start_s, settings.length_s)
    with engine.lock:
        found = pipeline.predict_onsets(read.frames)
    seconds = time.perf_counter() - start
    return {
        "clip": str(clip),
        "onsets_s": rounded(found.onsets_s),
        "onset_curve": rounded(found.curve),
        "step_s": found.step_s,
        "start_s": settings.start_s,
        "duration_s": round(read.duration_s, 6),
        "seconds": round(seconds, 4),
        "rtf": round(seconds / read.duration_s, 4),
    }
