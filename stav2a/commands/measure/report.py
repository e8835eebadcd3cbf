"""`python -m stav2a report`: measure the figures of a model card in one run."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from stav2a.commands.measure.clip_options import add_clips, check_clips
from stav2a.models import precision


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="compact", help="name, folder or repository (default: compact)")
    add_clips(parser, count=200, bank_required=True)
    parser.add_argument("--steps", type=int, help="denoising steps (default: the checkpoint's)")
    parser.add_argument("--guidance", type=float, help="text guidance (default: the checkpoint's)")
    parser.add_argument("--video-guidance", type=float, help="video guidance (default: the checkpoint's)")
    parser.add_argument("--strength", type=float, help="from a recording (0) to noise alone (1) (default: as above)")
    parser.add_argument("--edited", type=int, default=50, help="clips also run with edited onsets and other words")
    parser.add_argument("--dtype", choices=precision.CHOICES, default="auto", help="of the networks (default: auto)")
    parser.add_argument("--out", type=Path, default=Path("out/report"), help="folder to write to")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    from stav2a.evaluation.models.foley_figures import summary
    from stav2a.evaluation.models.foley_test import run as foley_test
    from stav2a.evaluation.models.real_clips import real_clips
    from stav2a.evaluation.models.reconstruction import reconstructions
    from stav2a.media.limits import InputError
    from stav2a.pipeline import STAV2APipeline

    check_clips(args)
    try:
        pipe = STAV2APipeline.from_pretrained(args.model, dtype=precision.dtype_for("cpu", args.dtype))
        settings = {"num_inference_steps": args.steps, "guidance_scale": args.guidance}
        settings |= {"video_guidance_scale": args.video_guidance, "strength": args.strength}
        settings = {name: value for name, value in settings.items() if value is not None}
        began = time.perf_counter()
        tested = None
        runs = foley_test(
            pipe,
            args.bank,
            args.sprites,
            args.count,
            duration_s=args.duration,
            settings=settings,
            edited=args.edited,
            write=args.out / "pairs",
        )
        for done, tested in enumerate(runs, 1):  # noqa: B007
            if done % 10 == 0:
                print(f"{done} of {args.count} clips, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        tables = {"FoleyWorld test": summary(tested)}
        if pipe.vae is not None:
            tables["Real test recordings"] = reconstructions(pipe, args.bank, max(args.count, 100))
        if args.clips:
            tables["Real clips"] = real_clips(pipe, args.clips)
    except (ValueError, OSError) as error:
        raise InputError(str(error)) from error
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "report.json").write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8")
    text = markdown(tables)
    (args.out / "report.md").write_text(text, encoding="utf-8")
    print(json.dumps(tables) if args.json else text)
    return 0


def markdown(tables: dict[str, dict[str, dict]]) -> str:
    """A table a part: figure, value, 95 % interval, chance level where there is one, n."""
    parts = []
    for title, rows in tables.items():
        lines = [f"### {title}", "", "| figure | value | 95 % CI | score / chance (p) | n |"]
        lines.append("| --- | ---: | --- | --- | ---: |")
        for name, row in rows.items():
            ci = "–" if row["ci95"] is None else f"{row['ci95'][0]:.3f} … {row['ci95'][1]:.3f}"
            chance = f"{row['score']:.3f} / {row['chance']:.3f} ({row['p']:.2g})" if "chance" in row else "–"
            lines.append(f"| {name} | {row['value']:.3f} | {ci} | {chance} | {row['n']} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)
