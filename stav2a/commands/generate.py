"""`python -m stav2a generate`: clips and folders in, clips with sound out."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from stav2a.commands.captions import captions_of
from stav2a.generation.batch import Outcome, Task, run_batch
from stav2a.generation.processes import Processes
from stav2a.generation.settings import (
    AUDIO_FORMATS,
    AUDIO_RATES,
    BUILT_IN,
    EXPORTS,
    LOUDNESS_LUFS,
    OFF,
    ORIGINAL_AUDIO,
    SAMPLERS,
    Settings,
    check_onsets,
)
from stav2a.media.clip_files import collect, folder_names, number, shown
from stav2a.media.limits import InputError
from stav2a.media.markers import KINDS
from stav2a.models import precision

ONSET_FILES = "JSON, or markers of Audacity (.txt), Reaper (.csv), MIDI (.mid) or an EDL"
FLAGS = {  # flag: (field of Settings, type, help)
    "--prompt": ("prompt", str, "caption: what should be heard"),
    "--negative-prompt": ("negative_prompt", str, "what should not be heard"),
    "--model": (
        "model",
        str,
        "compact (built in), paper, tiny, a system (vta-ldm, tiva, …), a folder, a repository of the hub",
    ),
    "--steps": ("steps", number, "sampling steps, 1 to 200"),
    "--guidance": ("guidance_scale", number, "how closely the sound follows the caption, 1 to 10"),
    "--video-guidance": ("video_guidance_scale", number, "guidance by the picture alone, 0 to 10"),
    "--negative-guidance": ("negative_guidance_scale", number, "scale of the negative caption, 0 to 10 (ta-v2a)"),
    "--alignment-guidance": ("alignment_guidance_scale", number, "guidance by its classifier, 0 to 100 (ta-v2a)"),
    "--sampler": ("sampler", str, ", ".join(SAMPLERS)),
    "--seed": ("seed", number, "take k uses seed + k"),
    "--takes": ("takes", number, "variants, 1 to 4"),
    "--control": ("control_scale", number, "how strongly the onsets time the sound, 0 to 2"),
    "--strength": (
        "strength",
        number,
        "0 plays recordings found by the caption, 1 makes the sound of noise alone, between: of the recordings",
    ),
    "--reference": ("reference", str, "sound file whose sound is played or made more like, in place of recordings"),
    "--start": ("start_s", number, "where the used part begins, in seconds"),
    "--length": ("length_s", number, "its length in seconds; without: to the end"),
    "--original": ("original_audio", str, f"the clip's own sound: {', '.join(ORIGINAL_AUDIO)}"),
    "--original-gain": ("original_gain_db", number, "its gain in dB where it is mixed in"),
    "--describe": (
        "describe",
        str,
        "who captions clips without a caption: built-in (default), off, or a vision-language model of the hub",
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clips", nargs="*", metavar="CLIP", help="video file, picture, or a folder of videos")
    parser.add_argument("--no-clip", action="store_true", help="a sound of the caption alone, --length seconds long")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder a clip is made in it")
    for flag, (field, kind, what) in FLAGS.items():
        optional = {"nargs": "?", "const": BUILT_IN} if field == "describe" else {}
        parser.add_argument(flag, dest=field, type=kind, default=None, help=what, **optional)
    parser.add_argument(
        "--loudness",
        type=_loudness,
        metavar="LUFS",
        help=f"level of the new sound in LUFS, {LOUDNESS_LUFS:g} by default; off: as the model made it",
    )
    parser.add_argument(
        "--onsets", type=Path, metavar="FILE", help=f"onset times the sound shall follow: {ONSET_FILES}"
    )
    parser.add_argument(
        "--export",
        nargs="+",
        choices=EXPORTS,
        metavar="KIND",
        help=f"files for other programs, markers at the onsets and single hits: {', '.join(EXPORTS)}",
    )
    parser.add_argument("--audio-format", choices=AUDIO_FORMATS, help="of the sound files (default: wav)")
    parser.add_argument("--audio-rate", type=int, choices=AUDIO_RATES, help="of the sound files, Hz (default: 16000)")
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
    told = {clip: replace(settings, prompt=captions.get(clip, settings.prompt)).validated() for clip in clips}
    print(*notes, sep="\n", end="\n" if notes else "", file=sys.stderr)
    tasks = [Task(clip, told[clip], args.out / names[clip]) for clip in clips]

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
    if args.json:
        print(json.dumps(result.to_json()), flush=True)
    else:
        print(f"{shown(result.takes[0].audio)} ({result.seconds:.1f} s)", flush=True)
    return 0


def settings_of(args: argparse.Namespace) -> Settings:
    settings = Settings() if args.settings is None else Settings.from_json(_read(args.settings))
    given = {field: getattr(args, field) for field, _, _ in FLAGS.values()}
    changes = {field: value for field, value in given.items() if value is not None}
    if args.loudness is not None:
        changes["loudness_lufs"] = None if args.loudness == OFF else args.loudness
    beside = {"exports": args.export and tuple(args.export)}
    beside |= {"audio_format": args.audio_format, "audio_rate": args.audio_rate}
    changes |= {field: value for field, value in beside.items() if value is not None}
    if args.onsets is not None:
        changes["onsets_s"] = onsets_of(args.onsets)
    return replace(settings, **changes).validated()


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


def _loudness(text: str) -> float | str:
    return OFF if text == OFF else number(text)


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
    elif as_json:
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
