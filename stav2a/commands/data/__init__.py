"""`python -m stav2a data`: render FoleyWorld clips or caches of them, prepare clips, pack the shelf."""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from pathlib import Path

from stav2a.commands.data import prepare
from stav2a.media.limits import InputError
from stav2a.media.write_clip import write_clip
from stav2a.timeline import COMPACT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="data_command", required=True)
    for name, text in (
        ("render", "write clips (mp4 with sound) and manifest.jsonl"),
        ("cache", "write packed frames, waveforms and events for training"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--out", type=Path, required=True, help="folder to write to")
        command.add_argument("--count", type=int, required=True, help="number of clips")
        command.add_argument("--start", type=int, default=0, help="index of the first clip")
        command.add_argument("--split", choices=("train", "val", "test"), default="train")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--bank", type=Path, help="sound bank folder (default: modal synthesis)")
        command.add_argument("--sprites", type=Path, help="folder of cut-out pictures (default: shapes only)")
        command.add_argument("--duration", type=float, default=10.24, help="seconds a clip")
        command.add_argument("--fps", type=float, default=COMPACT.fps)
        command.add_argument("--size", type=int, default=COMPACT.frame_size, help="pixels, both sides")
        command.add_argument("--scenes", nargs="*", help="only these scenes")
        command.add_argument("--held-out-captions", action="store_true", help="wordings kept apart for tests")
        if name == "cache":
            command.add_argument("--workers", type=int, default=1)
            command.add_argument("--per-shard", type=int, default=64)
    text = "make shards to train on from videos and captions"
    prepare.add_arguments(commands.add_parser("prepare", help=text, description=text))
    text = "join videos in pairs: a test set of clips in which something else happens"
    _concat_arguments(commands.add_parser("concat", help=text, description=text))
    text = "pack openly licensed recordings of a sound bank as the shelf that `recorded` plays"
    shelf = commands.add_parser("shelf", help=text, description=text)
    shelf.add_argument("bank", type=Path, help="folder of the sound bank")
    shelf.add_argument("--out", type=Path, required=True, help="folder to write; a shelf there is replaced")
    shelf.add_argument("--size-mb", type=float, default=3.2, help="of the coded recordings (default: 3.2)")
    shelf.add_argument("--kbps", type=int, default=24, help="bit rate of the Opus files (default: 24)")
    text = "print the authors and licences of recordings and pictures, as Markdown"
    credits = commands.add_parser("credits", help=text, description=text)
    credits.add_argument("bank", type=Path, help="folder of the sound bank")
    credits.add_argument("sprites", type=Path, nargs="?", help="folder of cut-out pictures")


def run(args: argparse.Namespace) -> int:
    if args.data_command in ("prepare", "concat"):
        try:
            return (prepare.run if args.data_command == "prepare" else _concat)(args)
        except ValueError as error:
            raise InputError(str(error)) from error
    if args.data_command == "shelf":
        return _shelf(args)
    if args.data_command == "credits":
        from stav2a.data.credits import credits

        print(credits(args.bank, args.sprites), end="")
        return 0
    options = {
        "bank": str(args.bank) if args.bank else None,
        "sprites": str(args.sprites) if args.sprites else None,
        "split": args.split,
        "seed": args.seed,
        "duration_s": args.duration,
        "fps": args.fps,
        "size": args.size,
        "held_out_captions": args.held_out_captions,
        "scenes": tuple(args.scenes) if args.scenes else None,
    }
    try:
        return (_render if args.data_command == "render" else _cache)(args, options)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2


def _concat_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("source", help="folder of videos with captions (NAME.txt), or a table of them (CSV, JSON)")
    command.add_argument("--out", type=Path, required=True, help="folder for the clips and captions.csv")
    command.add_argument("--videos", type=Path, help="where the table's files lie (default: beside the table)")
    command.add_argument("--count", type=int, default=100, help="clips to make")
    command.add_argument("--duration", type=float, default=10.0, help="seconds a clip")
    command.add_argument("--fps", type=float, default=25.0)
    command.add_argument("--size", type=int, default=256, help="pixels, both sides")
    command.add_argument("--seed", type=int, default=0)


def _concat(args: argparse.Namespace) -> int:
    if args.count < 1 or not 1 <= args.duration <= 300 or not 1 <= args.fps <= 120 or not 16 <= args.size <= 2048:
        raise InputError("--count must be at least 1, --duration 1 to 300 s, --fps 1 to 120 and --size 16 to 2048.")
    from stav2a.data import concat_set
    from stav2a.data.listing import list_sources

    rows, skipped = concat_set.concat_set(
        list_sources(args.source, args.videos), args.out, args.count, args.duration, args.fps, args.size, args.seed
    )
    with (args.out / "captions.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, concat_set.COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    for name, reason in skipped.items():
        print(f"left out {name}: {reason}")
    print(f"{len(rows)} clips: {args.out}")
    return 0


def _shelf(args: argparse.Namespace) -> int:
    from stav2a.data.shelf import build

    if not 0.05 <= args.size_mb <= 1000 or not 8 <= args.kbps <= 256:
        raise InputError("The size must lie between 0.05 and 1000 MB, the bit rate between 8 and 256 kbit/s.")
    try:
        shelf = build(args.bank, args.out, args.size_mb, args.kbps)
    except ValueError as error:
        raise InputError(str(error)) from error
    seconds = sum(recording.duration_s for recording in shelf.recordings)
    print(f"{len(shelf)} recordings of {len(shelf.classes)} classes, {seconds / 60:.1f} minutes -> {args.out}")
    return 0


def _render(args: argparse.Namespace, options: dict) -> int:
    from stav2a.data.foleyworld.cache import describe
    from stav2a.data.foleyworld.world import FoleyWorld

    world = FoleyWorld(**options)
    args.out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    with (args.out / "manifest.jsonl").open("w", encoding="utf-8") as manifest:
        for i in range(args.start, args.start + args.count):
            sample = world[i]
            path = args.out / f"{args.split}_{i:06d}.mp4"
            write_clip(path, sample.frames, world.fps, sample.waveform)
            line = {"file": path.name, "duration_s": args.duration, "fps": args.fps, **describe(sample, i)}
            manifest.write(json.dumps(line) + "\n")
    _report(args.count, round(args.duration * args.fps), began)
    return 0


def _cache(args: argparse.Namespace, options: dict) -> int:
    from stav2a.data.foleyworld.cache import write_cache

    frames = round(args.duration * args.fps)
    began, done = time.perf_counter(), 0
    for clips in write_cache(args.out, options, args.count, args.per_shard, args.workers, args.start):
        done += clips
        if clips:
            _report(done, frames, began)
    _report(done, frames, began)
    return 0


def _report(clips: int, frames: int, began: float) -> None:
    seconds = max(time.perf_counter() - began, 1e-9)
    rate = clips * frames / seconds
    print(
        f"{clips} clips, {seconds:.1f} s, {rate:.0f} frames/s ({1e3 / max(rate, 1e-9):.2f} ms a frame)",
        flush=True,
    )
