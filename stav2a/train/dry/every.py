"""`train all --dry-run`: every configuration run dry, a row of a table each.

The rows are the evidence that every shipped configuration trains: shapes right, step, validation, resume, export,
sample.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

from accelerate.state import AcceleratorState

from stav2a.assets import shipped
from stav2a.media.limits import InputError
from stav2a.train.runtime.config import TrainConfig

from .report import CHECKS, Report
from .run import dry_run

HEAD = f"| configuration | stage | {' | '.join(CHECKS)} | |\n|{'---|' * (len(CHECKS) + 3)}"


def rows(place: str | Path | None, words: list[str]) -> Iterator[tuple[str, bool]]:
    """A line for each configuration in `place`, a file or folder (None: all that are shipped), and whether all is done.

    words: settings that win over the files'.
    """
    folder = shipped(place or "configs")
    files = [folder] if folder.is_file() else sorted(folder.rglob("*.yaml"))
    if not files:
        raise InputError(f"There is no configuration in {folder}.")
    with tempfile.TemporaryDirectory(prefix="stav2a-dry-") as stand_ins:
        for file in files:
            yield row(file, words, Path(stand_ins))


def row(file: Path, words: list[str], stand_ins: Path) -> tuple[str, bool]:
    config = TrainConfig.load(file, words)
    stage, name = stage_of(file, config), f"{file.resolve().parent.name}/{file.name}"
    AcceleratorState._reset_state(reset_partial_state=True)  # each configuration brings its own precision
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            report, why = dry_run(stage, config, stand_ins, calculate=False), ""
    except InputError as error:
        report, why = getattr(error, "report", Report(stage, config)), str(error)
    marks = " | ".join("yes" if check in report.done else "no" for check in CHECKS)
    return f"| {name} | {stage} | {marks} | {why or f'{report.seconds:.1f} s'} |", not why


def stage_of(file: Path, config: TrainConfig) -> str:
    """The stage that a configuration is for: its setting `stage`, else the name of its file."""
    return config.stage or file.stem
