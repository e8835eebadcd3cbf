"""`python -m stav2a systems`: a table of all installed systems on the same clips.

Two sets: FoleyWorld's test clips, and real clips with their own sound. A sound that was made before is not made again,
so a stopped run continues and a new system can be added to the table.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stav2a.commands.measure.clip_options import add_clips, check_clips
from stav2a.evaluation.folders.evaluate import available_plan, evaluate
from stav2a.evaluation.folders.pairs import VIDEO_SUFFIXES, Pair, read_captions
from stav2a.evaluation.folders.summary import is_lower_better
from stav2a.evaluation.folders.work import Plan
from stav2a.evaluation.models.painted import heard_as_painted
from stav2a.evaluation.models.systems_figure import figure
from stav2a.media.audio import read_audio, write_wav
from stav2a.media.frames import read_for_model

COLUMNS = (
    "onset_f1_50ms", "onset_f1_100ms", "envelope_correlation", "w_dis", "dtw_dis", "class_top1_bank", "fd_bank",
    "kl_bank", "is_bank", "painted_layout",
)  # fmt: skip


@dataclass(frozen=True)
class Item:
    """A clip to make sound for. `open()` -> frames uint8 [T, H, W, 3] and its own sound float32 [S]."""

    stem: str
    caption: str
    cls: str | None
    open: Callable[[], tuple[np.ndarray, np.ndarray]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models", help="names or folders with commas between them (default: all that are here)")
    add_clips(parser, count=200, clips=" (and manifest.csv)")
    parser.add_argument("--steps", type=int, help="denoising steps (default: each checkpoint's own)")
    parser.add_argument(
        "--strength",
        type=float,
        default=1.0,
        help="below 1, all but `recorded` start from a recording (default: 1, what the networks do alone)",
    )
    parser.add_argument(
        "--painted",
        type=int,
        default=0,
        metavar="N",
        help="paint another layout for the first N clips of systems that have one, and measure whether it is heard",
    )
    parser.add_argument("--trials", type=int, default=20, help="shifts in time that chance is measured by")
    parser.add_argument("--workers", type=int, default=1, help="processes that score (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("out/systems"), help="folder to write to")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    from stav2a import systems
    from stav2a.media.limits import InputError
    from stav2a.pipeline import STAV2APipeline

    check_clips(args)
    try:
        names = args.models.split(",") if args.models else systems.present()
        if not names:
            raise ValueError("No system has weights here; docs/systems.md says how to train them.")
        report: dict[str, dict] = {}
        for name in names:
            pipe = STAV2APipeline.from_pretrained(name)
            pipe.set_progress_bar_config(disable=True)
            for title, items in sets(args, pipe.timeline).items():
                folder = args.out / title.replace(" ", "_")
                report.setdefault(title, {})[Path(name).name] = row(pipe, items, folder, Path(name).name, args)
    except (ValueError, OSError) as error:
        raise InputError(str(error)) from error
    text = "\n".join(markdown(title, rows) for title, rows in report.items())
    (args.out / "systems.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (args.out / "systems.md").write_text(text, encoding="utf-8")
    figure(report).savefig(args.out / "systems.png", dpi=120)
    print(json.dumps(report) if args.json else text)
    return 0


def sets(args: argparse.Namespace, timeline) -> dict[str, list[Item]]:
    found = {}
    if args.bank is not None:
        found["FoleyWorld test"] = list(rendered(args, timeline))
    if args.clips is not None:
        found["Real clips"] = list(real(args.clips, timeline))
        if len(found["Real clips"]) < 2:
            raise ValueError(f"{args.clips} holds {len(found['Real clips'])} clips with sound; at least 2 are needed.")
    return found


def rendered(args: argparse.Namespace, timeline) -> Iterator[Item]:
    """Test clips of recordings and pictures that no training has seen."""
    from stav2a.data.foleyworld.world import FoleyWorld

    size = {"duration_s": args.duration, "fps": timeline.fps, "size": timeline.frame_size}
    world = FoleyWorld(args.bank, args.sprites, "test", **size)
    for index in range(args.count):
        sound = world.sound(index)

        def both(index=index, sound=sound):
            return world.frames(index), sound.waveform

        yield Item(f"{index:04d}", sound.caption, sound.cls, both)


def real(folder: Path, timeline) -> Iterator[Item]:
    manifest = folder / "manifest.csv"
    captions = read_captions(manifest) if manifest.is_file() else {}
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES):

        def both(path=path):
            clip = read_for_model(path, timeline)
            return clip.frames, read_audio(path, timeline.sample_rate, duration_s=clip.duration_s)

        if read_audio(path, timeline.sample_rate, duration_s=0.5) is not None:
            yield Item(path.stem, captions.get(path.stem, ("",))[0] or "", None, both)


def row(pipe, items: list[Item], folder: Path, name: str, args: argparse.Namespace) -> dict:
    """Make what is missing, score everything: metrics as `evaluate` gives them, parameters, seconds a clip."""
    made, references = folder / name, folder / "reference"
    settings: dict = {"num_inference_steps": args.steps} if args.steps else {}
    if pipe.conditioner.generates:
        settings["strength"] = args.strength
    seconds = _seconds(made)
    for index, item in enumerate(items):
        if (made / f"{item.stem}.wav").is_file() and (references / f"{item.stem}.wav").is_file():
            continue
        frames, waveform = item.open()
        references.mkdir(parents=True, exist_ok=True)
        made.mkdir(parents=True, exist_ok=True)
        write_wav(references / f"{item.stem}.wav", waveform, pipe.timeline.sample_rate)
        output = pipe(frames, item.caption, seed=index, **settings)
        seconds[item.stem] = sum(output.seconds.values())
        write_wav(made / f"{item.stem}.wav", output.waveforms[0], output.sample_rate)
        (made / "seconds.json").write_text(json.dumps(seconds))
        if index % 10 == 0:
            print(f"{name}: {index + 1} of {len(items)} clips", file=sys.stderr, flush=True)
    pairs = [
        Pair(item.stem, references / f"{item.stem}.wav", made / f"{item.stem}.wav", None, item.caption, item.cls)
        for item in items
    ]
    plan, left_out = available_plan(Plan(trials=args.trials, cache=str(args.out / "stored")))
    for sentence in left_out:
        print(f"left out: {sentence}", file=sys.stderr)
    metrics = evaluate(pairs, plan, args.workers).metrics
    if args.painted and "layout" in pipe.dials:
        metrics["painted_layout"] = heard_as_painted(
            pipe, [item.open()[0] for item in items[: args.painted]], **settings
        )
    return {
        "n": len(pairs),
        "parameters": parameters(pipe),
        "seconds_a_clip": float(np.median(list(seconds.values()))) if seconds else None,
        "metrics": {key: metrics[key] for key in COLUMNS if key in metrics},
    }


def _seconds(made: Path) -> dict[str, float]:
    file = made / "seconds.json"
    return json.loads(file.read_text()) if file.is_file() else {}


def parameters(pipe) -> int:
    """Of everything that runs when sound is made, each weight once."""
    parts = [part for part in pipe.components.values() if hasattr(part, "parameters")]
    return sum({id(p): p.numel() for part in parts for p in part.parameters()}.values())


def markdown(title: str, rows: dict[str, dict]) -> str:
    """A table a set: mean ± half the 95 % interval, chance level in brackets where a score has one."""
    columns = [name for name in COLUMNS if any(name in entry["metrics"] for entry in rows.values())]
    heads = [f"{name} {'↓' if is_lower_better(name) else '↑'}" for name in columns]
    counts = sorted({entry["n"] for entry in rows.values()})
    lines = [f"### {title}, n = {', '.join(map(str, counts))}", ""]
    lines += [f"| system | M parameters | s a clip | {' | '.join(heads)} |", "| --- |" + " ---: |" * (len(columns) + 2)]
    for name, entry in rows.items():
        seconds = "–" if entry["seconds_a_clip"] is None else f"{entry['seconds_a_clip']:.1f}"
        cells = [f"{entry['parameters'] / 1e6:.1f}", seconds, *(_cell(entry["metrics"].get(c)) for c in columns)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(entry: dict | None) -> str:
    if entry is None:
        return "–"
    half = f" ± {(entry['ci95'][1] - entry['ci95'][0]) / 2:.3f}" if entry["ci95"] else ""
    chance = "" if entry["chance"] is None else f" ({entry['chance']:.3f}, p {entry['p']:.2g})"
    return f"{entry['mean']:.3f}{half}{chance}"
