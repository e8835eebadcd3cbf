"""A dry run's report as text, and `python -m stav2a.train.dry.table`: a row for every configuration.

The rows are the evidence that every shipped configuration trains: shapes right, step, validation, resume, export,
sample. A configuration's stage is its setting `stage`, else the name of its file.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
from pathlib import Path

from accelerate.state import AcceleratorState

from stav2a.assets import ROOT
from stav2a.media.limits import InputError
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.cost import BYTES_A_PARAMETER, DEVICES, REACHED
from stav2a.train.runtime.machine import shares

from .run import CHECKS, Report, dry_run

PROCESSES = (1, 2, 4, 8, 16)


def text(report: Report, processes: int = 1) -> str:
    """What a person reads before renting machines."""
    config, cost = report.config, report.cost
    width = max(map(len, report.shapes), default=10)
    lines = [f"stage {report.stage}, model {config.model}", f"data: {report.data}"]
    lines += ["", f"{'tensor':{width}s}  shape"]
    lines += [f"{name:{width}s}  {list(shape)}" for name, shape in report.shapes.items()]
    lines += [
        "",
        f"At full size, calculated ({BYTES_A_PARAMETER} bytes a trained parameter; {REACHED:.0%} of a device's peak):",
        f"{cost.parameters / 1e6:.1f} M parameters learn, {cost.frozen / 1e6:.1f} M rest; "
        f"{cost.flop / 1e9:.1f} GFLOP and {cost.activation_bytes / 1e9:.3f} GB of fp32 activations a sample and step",
        "",
        f"{'processes':>9s} {'accumulation':>12s} {'at once':>8s} {'batch':>6s} {'GB fp32':>8s} {'16 bits':>8s}  "
        + "  ".join(f"s a step, {device}" for device in DEVICES),
    ]
    for count in sorted({*PROCESSES, processes}):
        try:
            accumulated, at_once = shares(config, count)
        except InputError as error:
            lines.append(f"{count:9d} {error}")
            continue
        seconds = [cost.seconds(at_once * accumulated, rate) for rate in DEVICES.values()]
        lines.append(
            f"{count:9d} {accumulated:12d} {at_once:8d} {config.batch_size:6d} {cost.memory_gb(at_once):8.1f} "
            f"{cost.memory_gb(at_once, 16):8.1f}  "
            + "  ".join(f"{s:{len(device) + 10}.2f}" for s, device in zip(seconds, DEVICES, strict=True))
        )
    lines += [
        "",
        f"two steps: loss {report.losses[0]:.5f}, {report.losses[1]:.5f}; validation "
        + ", ".join(f"{name} {value:.4f}" for name, value in report.measures.items()),
        f"done in {report.seconds:.1f} s: {', '.join(report.done)}",
    ]
    return "\n".join(lines)


def row(file: Path, folder: Path, stand_ins: Path) -> tuple[str, bool]:
    """A line of the table, and whether everything was done."""
    config = TrainConfig.load(file)
    stage, name = stage_of(file, config), file.relative_to(folder).as_posix()
    kept = io.StringIO()
    AcceleratorState._reset_state(reset_partial_state=True)  # each configuration brings its own precision
    try:
        with contextlib.redirect_stdout(kept), contextlib.redirect_stderr(kept):
            report, why = dry_run(stage, config, stand_ins, calculate=False), ""
    except InputError as error:
        report, why = getattr(error, "report", Report(stage, config, "")), str(error)
    marks = " | ".join("yes" if check in report.done else "no" for check in CHECKS)
    return f"| {name} | {stage} | {marks} | {why or f'{report.seconds:.1f} s'} |", not why


def stage_of(file: Path, config: TrainConfig) -> str:
    """The stage that a configuration is for."""
    return config.stage or file.stem


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run every configuration dry and print a table of what was done.")
    parser.add_argument("files", nargs="*", type=Path, help="configurations (default: all that are shipped)")
    args = parser.parse_args(argv)
    folder = ROOT / "configs"
    print(f"| configuration | stage | {' | '.join(CHECKS)} | |\n|{'---|' * (len(CHECKS) + 3)}", flush=True)
    whole = True
    with tempfile.TemporaryDirectory(prefix="stav2a-dry-") as stand_ins:
        for file in args.files or sorted(folder.rglob("*.yaml")):
            file = file.resolve()
            line, done = row(file, folder if file.is_relative_to(folder) else file.parent, Path(stand_ins))
            print(line, flush=True)
            whole &= done
    return 0 if whole else 1


if __name__ == "__main__":
    os.environ.setdefault("TQDM_DISABLE", "1")
    sys.exit(main())
