"""`python -m stav2a generate`: clips and folders in, clips with sound out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from stav2a import systems
from stav2a.dials import Dial
from stav2a.generation.batch import Outcome, Task, run_batch
from stav2a.generation.captions import captions_of
from stav2a.generation.processes import Processes
from stav2a.generation.settings import OFF, TABLE, Settings, check_onsets
from stav2a.media.clip_files import collect, folder_names, number, shown
from stav2a.media.limits import InputError
from stav2a.media.markers import KINDS
from stav2a.models import precision

ONSET_FILES = "JSON, or markers of Audacity (.txt), Reaper (.csv), MIDI (.mid) or an EDL"
OFF_VALUE = object()  # a dial that is turned off


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clips", nargs="*", metavar="CLIP", help="video file, picture, or a folder of videos")
    parser.add_argument("--no-clip", action="store_true", help="a sound of the caption alone, --length seconds long")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder a clip is made in it")
    for name, dial in dials().items():
        if dial.flag:
            of = "" if dial.everywhere else f" Of {', '.join(systems.having(name))}."
            more = {"nargs": "?", "const": dial.bare} if dial.bare else {"nargs": "+"} if dial.kind == "names" else {}
            more |= {"metavar": metavar(dial), "help": dial.text() + of}
            parser.add_argument(dial.flag, dest=name, type=_value(dial), default=None, **more)
    parser.add_argument(
        "--onsets", type=Path, metavar="FILE", help=f"onset times the sound shall follow: {ONSET_FILES}"
    )
    parser.add_argument("--settings", type=Path, metavar="FILE", help="settings.json of a run; other flags win over it")
    parser.add_argument("--captions", type=Path, metavar="FILE", help="CSV with the columns clip and caption")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps; without: the best there is")
    parser.add_argument(
        "--dtype",
        choices=precision.CHOICES,
        default="auto",
        help="of the networks; auto: bf16 where the device has it, else fp32",
    )
    parser.add_argument("--compile", action="store_true", help="torch.compile: minutes at first, then faster on a GPU")
    parser.add_argument(
        "--batch", type=int, default=1, metavar="N", help="clips of one length that share a pass of the model (1 to 64)"
    )
    parser.add_argument("--overwrite", action="store_true", help="do finished clips again")
    parser.add_argument("--json", action="store_true", help="print one JSON object a clip")


def run(args: argparse.Namespace) -> int:
    settings = settings_of(args)
    if not 1 <= args.batch <= 64:
        raise InputError(f"A batch holds 1 to 64 clips, not {args.batch}.")
    if args.no_clip == bool(args.clips):
        raise InputError("Give clips, or --no-clip and a caption.")
    if args.no_clip:
        return _without_clip(args, settings)
    clips = collect(args.clips, args.out)
    names, (captions, notes) = folder_names(clips), captions_of(args.captions, clips)
    of_clip = {clip: replace(settings, prompt=captions.get(clip, settings.prompt)).validated() for clip in clips}
    print(*notes, sep="\n", end="\n" if notes else "", file=sys.stderr)
    tasks = [Task(clip, of_clip[clip], args.out / names[clip]) for clip in clips]

    processes = Processes()
    from stav2a.generation.engine import Engine

    engine = Engine(settings.model, args.device or processes.device, args.dtype, args.compile)
    if args.device:
        engine.check_device()
    live = sys.stderr.isatty() and not args.json and processes.count == 1
    failed = 0
    mine = processes.share(tasks)
    follow = _show if live else _quiet
    for outcome in run_batch(engine, mine, overwrite=args.overwrite, batch_size=args.batch, progress=follow):
        failed += outcome.error is not None
        _report(outcome, args.json)
    total_failed = sum(processes.gather(failed))  # also waits: a launcher ends the others when one ends with an error
    if total_failed and len(tasks) > 1 and processes.is_first:
        print(f"{total_failed} of {len(tasks)} clips failed.", file=sys.stderr)
    return 2 if total_failed else 0


def _without_clip(args: argparse.Namespace, settings: Settings) -> int:
    from stav2a.generation.engine import Engine
    from stav2a.generation.generate import generate

    engine = Engine(settings.model, args.device, args.dtype, args.compile)
    *_, result = generate(engine, None, settings, args.out)
    if result.caption_note:
        print(result.caption_note, file=sys.stderr)
    if args.json:
        print(json.dumps(result.to_json()), flush=True)
    else:
        print(f"{shown(result.takes[0].audio)} ({result.seconds:.1f} s)", flush=True)
    return 0


def settings_of(args: argparse.Namespace) -> Settings:
    settings = Settings() if args.settings is None else Settings.from_json(_read(args.settings))
    given = {name: getattr(args, name) for name, dial in dials().items() if dial.flag}
    changes = {name: None if value is OFF_VALUE else value for name, value in given.items() if value is not None}
    if args.onsets is not None:
        changes["onsets_s"] = onsets_of(args.onsets)
    return Settings.of({**settings.to_dict(), **changes})


def dials() -> dict[str, Dial]:
    """Those of every model and those that a system declares."""
    return {**TABLE, **systems.own_dials()}


def metavar(dial: Dial) -> str:
    if dial.unit:
        return dial.unit.upper()
    kinds = {"number": "X", "whole": "N", "text": "TEXT", "file": "FILE", "names": "KIND"}
    return kinds.get(dial.kind, "NAME")


def _value(dial: Dial) -> Callable[[str], object]:
    """How the words of a flag are read; "off" where the dial can be."""
    if dial.kind not in ("number", "whole"):
        return str
    return (lambda text: OFF_VALUE if text == OFF else number(text)) if dial.none == OFF else number


def onsets_of(path: Path) -> tuple[float, ...]:
    """Times from a JSON list, from an object that holds them as `onsets_s`, or from a marker file by its suffix."""
    if path.suffix.lower() in {suffix for kind in KINDS.values() for suffix in kind.suffixes}:
        from stav2a.generation.export import onsets_from_markers

        return check_onsets(onsets_from_markers(path))
    try:
        data = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{shown(path)} is not valid JSON.") from error
    if isinstance(data, dict):
        data = data.get("onsets_s")
    return check_onsets(data)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{shown(path)} cannot be read: {(error.strerror or 'error').lower()}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{shown(path)} is not a text file.") from error


def _report(outcome: Outcome, as_json: bool) -> None:
    clip = shown(outcome.task.clip)
    if outcome.error is not None:
        print(f"{clip}: {outcome.error}", file=sys.stderr, flush=True)
        return
    if note := outcome.record.get("caption_note"):
        print(f"{clip}: {note}", file=sys.stderr, flush=True)
    if as_json:
        record = {**outcome.record, "skipped": True} if outcome.skipped else outcome.record
        print(json.dumps(record), flush=True)
    else:
        where = shown(Path(outcome.record["out_video"]))
        how = "already there" if outcome.skipped else f"{outcome.record['seconds']:.1f} s"
        print(f"{clip} -> {where} ({how})", flush=True)


def _show(task: Task, item) -> None:
    """The present step on one line of the terminal."""
    end = "\r" if item.stage != "decode" else "\r\033[K"
    print(
        f"\033[K{shown(task.clip)[-40:]}: {item.stage} {item.step}/{item.total}", end=end, file=sys.stderr, flush=True
    )


def _quiet(task: Task, item) -> None:
    pass
