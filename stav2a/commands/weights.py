"""`python -m stav2a weights fetch|check|convert|encoder`."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from stav2a.models.licences import noted
from stav2a.weights import fetch
from stav2a.weights.errors import WeightsError
from stav2a.weights.locate import convert_fetched, fetch_paper
from stav2a.weights.sources import PAPER, REQUIRED, VISION

DTYPES = ("fp32", "bf16", "fp16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    get = actions.add_parser("fetch", help="download the authors' files; resumes where it broke off")
    get.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PAPER)} (default: {' '.join(REQUIRED)})")
    get.add_argument("--dry-run", action="store_true", help="show files and sizes only")

    inspect = actions.add_parser("check", help="what is here, or whether a checkpoint folder is whole")
    inspect.add_argument("folder", nargs="?", help="a checkpoint folder, compared key by key")
    inspect.add_argument("--memory", action="store_true", help="measure memory by dtype on this processor")
    inspect.add_argument("--dtype", action="append", choices=DTYPES, help="only this one, repeatable")

    encoder = actions.add_parser("encoder", help="write a pretrained vision encoder as a folder that opens offline")
    encoder.add_argument(
        "name", help=f"one of {', '.join(VISION)}, a repository of the hub, or a folder of transformers"
    )
    encoder.add_argument("--out", type=Path, required=True, help="folder to write, such as PARTS/video_encoder")
    encoder.add_argument(
        "--layers", type=int, nargs="*", default=[], help="their CLS tokens are the feature (TiVA: 11)"
    )
    encoder.add_argument("--levels", type=int, nargs="*", default=[], help="of TiVA's layout predictor (4 8 11)")

    make = actions.add_parser("convert", help="write one folder of safetensors that opens offline")
    make.add_argument("--out", type=Path, help="folder to write (default: where --model paper looks)")
    make.add_argument("--release", type=Path, help="folder of the authors' release (default: the hub's cache)")
    make.add_argument("--text-encoder", type=Path, help="folder of the text encoder and its tokenizer")
    make.add_argument("--audioldm", type=Path, help="folder with vae/ and vocoder/, or AudioLDM's original file")
    make.add_argument("--cavp", type=Path, help="cavp_epoch66.ckpt, where the release holds no video encoder")
    make.add_argument("--dtype", choices=DTYPES, default="fp32", help="of the weights written")
    make.add_argument("--heads", type=int, metavar="N", help="attention heads of the U-Net")
    make.add_argument("--prediction-type", choices=["v_prediction", "epsilon"], help="what the U-Net predicts")
    make.add_argument("--beta-start", type=float, metavar="X")
    make.add_argument("--beta-end", type=float, metavar="X")
    make.add_argument("--ignore", action="append", default=[], metavar="PREFIX", help="keys to leave out, repeatable")


def run(args: argparse.Namespace) -> int:
    messages = logging.StreamHandler(sys.stderr)  # our own only: libraries log every request
    ours = logging.getLogger("stav2a")
    level = ours.level
    ours.addHandler(messages)
    ours.setLevel(logging.INFO)
    try:
        return COMMANDS[args.action](args)
    finally:
        ours.removeHandler(messages)
        ours.setLevel(level)


def run_fetch(args: argparse.Namespace) -> int:
    if args.dry_run:
        for name in args.names or REQUIRED:
            source = fetch.source_of(name)
            for file in fetch.remote_files(source):
                print(f"{name:18} {fetch.human(file.size):>12}  {source.repo}/{file.path}")
        return 0
    places = {name: fetch.fetch(name) for name in args.names} if args.names else fetch_paper()
    for name, place in places.items():
        print(f"{name:18} {place}")
    return 0


def run_check(args: argparse.Namespace) -> int:
    from stav2a.condition.image_features.network import unavailable
    from stav2a.models.lean import source_of
    from stav2a.weights.check import check_folder

    if args.folder:
        known = noted(args.folder)
        for part, parameters, size in check_folder(args.folder, base=source_of(Path(args.folder))):
            licence = f"  [{known[part]}]" if part in known else ""
            print(
                f"{part:16} {parameters / 1e6:9.2f} M parameters {size / 1e6:9.1f} MB  fits its configuration{licence}"
            )
    elif not args.memory:
        converted = fetch.home() / "paper"
        state = "converted" if (converted / "model_index.json").is_file() else "not converted yet"
        print(f"{'paper':18} {state:12}  {converted}")
        for name, source in PAPER.items():
            here = "fetched" if fetch.in_cache(source) else "not here"
            print(
                f"{name:18} {here:12}  {source.repo}@{source.revision or 'main'}  {fetch.human(source.size)}  "
                f"[{source.licence}]  {source.about}"
            )
        for name, encoder in VISION.items():
            if encoder.packaged:
                here = "not here" if unavailable(encoder.architecture["name"]) else "installed"
            else:
                here = "fetched" if fetch.repository_cached(encoder.repo) else "not here"
            place = f"pip: {encoder.repo}" if encoder.packaged else f"{encoder.repo}@main"
            print(f"{name:18} {here:12}  {place}  [{encoder.licence}]  Vision encoder.")
    if args.memory:
        from stav2a.bench.memory import memory_table

        for row in memory_table(args.folder or "paper", tuple(args.dtype or DTYPES)):
            step = "not measured: no instructions for it" if row["step_s"] is None else f"{row['step_s']:.3f} s a step"
            print(
                f"{row['dtype']:5} weights {row['weights_mb']:8.1f} MB  loaded {row['loaded_mb']:8.1f} MB  "
                f"peak {row['peak_mb']:8.1f} MB  load {row['load_s']:6.2f} s  {step}"
            )
    return 0


def run_encoder(args: argparse.Namespace) -> int:
    from stav2a.models import licences
    from stav2a.weights.vision import video_encoder

    if args.out.exists():
        raise WeightsError(f"{args.out} is already there; delete it or choose another folder.")
    try:
        encoder = video_encoder(args.name, args.layers, args.levels)
    except ValueError as error:  # layers that it does not have
        raise WeightsError(str(error)) from error
    encoder.save_pretrained(args.out)
    licence = VISION[args.name].licence if args.name in VISION else licences.NONE_STATED
    licences.note(args.out.parent, {args.out.name: licence})
    print(f"{args.out}: {encoder.config.source}, {encoder.config.feature_dim} channels a frame [{licence}]")
    return 0


def run_convert(args: argparse.Namespace) -> int:
    import torch

    from stav2a.pipeline import STAV2APipeline
    from stav2a.weights.folder import convert

    unet = {} if args.heads is None else {"attention_head_dim": args.heads}
    names = ("prediction_type", "beta_start", "beta_end")
    scheduler = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    options = {
        "unet": unet,
        "scheduler": scheduler,
        "ignore": tuple(args.ignore),
        "dtype": {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[args.dtype],
    }
    out = args.out or fetch.home() / "paper"
    given = (args.release, args.text_encoder, args.audioldm)
    if all(given):
        convert(STAV2APipeline, out, *given, args.cavp, **options)
    elif any(given):
        raise WeightsError(
            "Give all of --release, --text-encoder and --audioldm, or none of them to use the hub's cache."
        )
    else:
        convert_fetched(STAV2APipeline, out, **options)
    print(out)
    return 0


COMMANDS = {"fetch": run_fetch, "check": run_check, "convert": run_convert, "encoder": run_encoder}
