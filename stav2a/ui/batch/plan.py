"""Several clips as one job: the request and progress of each, and a zip of the finished files."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stav2a.generation.batch import Task, run_batch
from stav2a.generation.captions import captions_of
from stav2a.generation.settings import Settings
from stav2a.media.clip_files import folder_names
from stav2a.media.limits import Cancelled, InputError, Limits
from stav2a.output import Progress
from stav2a.ui.history import History
from stav2a.ui.line.status import stage_text
from stav2a.ui.widgets.player import file_data

if TYPE_CHECKING:
    from stav2a.generation.engine import Engine

MOST = 20  # clips
ZIP = "clips_with_sound.zip"
WAITING, WORKING, DONE, FAILED = "waiting", "working", "done", "failed"


@dataclass
class Row:
    """One clip. status: its status in words; video: its file with sound, once it exists."""

    clip: Path
    caption: str
    state: str = WAITING
    status: str = ""
    share: float = 0.0
    video: Path | None = None


@dataclass
class BatchPlan:
    """notes: sentences about the table of captions; folder, zip: set once there are files."""

    rows: list[Row]
    settings: Settings
    notes: list[str] = field(default_factory=list)
    folder: Path | None = None
    zip: Path | None = None

    @property
    def finished(self) -> int:
        return sum(row.state == DONE for row in self.rows)

    @property
    def over(self) -> int:
        return sum(row.state in (DONE, FAILED) for row in self.rows)

    def shown(self, with_files: bool) -> list[dict]:
        """The rows for the list; files are included only with `with_files`, once all are made."""
        return [
            {
                "name": row.clip.name, "caption": row.caption, "state": row.state, "status": row.status,
                "share": round(row.share, 3),
                "video": file_data(row.video) if with_files and row.video is not None else None,
            }
            for row in self.rows
        ]  # fmt: skip


def plan_of(files: Sequence[str] | None, settings: Settings) -> BatchPlan:
    """The plan of uploaded clips and at most one table with the columns clip and caption (CSV).

    A clip that is not in the table gets the caption of `settings`.
    """
    paths = [Path(file) for file in dict.fromkeys(files or ())]  # the same file twice has one path
    tables = [path for path in paths if path.suffix.lower() == ".csv"]
    clips = [path for path in paths if path not in tables]
    if not clips:
        raise InputError("There are no clips yet: upload some first.")
    if len(clips) > MOST or len(tables) > 1:
        raise InputError(f"These are {len(clips)} clips and {len(tables)} tables; at most {MOST} and 1 are accepted.")
    captions, notes = captions_of(tables[0] if tables else None, clips)
    for path in paths:  # show no paths of this machine
        notes = [note.replace(str(path), path.name) for note in notes]
    rows = [Row(clip, captions.get(clip) or settings.prompt) for clip in clips]
    return BatchPlan(rows, settings, notes)


def batching(engine: Engine, history: History, visit: str, plan: BatchPlan, limits: Limits) -> Callable:
    """Work for a job, with the function that `generate` on the command line uses; the result is the plan."""

    def work(cancelled: Callable[[], bool]) -> Iterator[Progress | BatchPlan]:
        plan.folder = folder = history.new_folder(visit, "batch")
        names = folder_names([row.clip for row in plan.rows])
        tasks = {
            Task(row.clip, replace(plan.settings, prompt=row.caption).validated(), folder / names[row.clip]): row
            for row in plan.rows
        }

        def progress(task: Task, item: Progress) -> None:
            if cancelled():
                raise Cancelled  # also in the middle of a clip
            row = tasks[task]
            row.state, row.status = WORKING, stage_text(item)
            row.share = item.step / max(item.total, 1)

        try:
            yield Progress("batch", 0, len(tasks))
            with closing(run_batch(engine, list(tasks), progress=progress, limits=limits)) as outcomes:
                for outcome in outcomes:
                    row = tasks[outcome.task]
                    if cancelled():
                        break
                    if outcome.error is not None:
                        row.state, row.status = FAILED, outcome.error
                    else:
                        row.state, row.status = DONE, f"{outcome.record['seconds']:.1f} s"
                        row.video = Path(outcome.record["out_video"])
                    yield Progress("batch", plan.over, len(tasks))
        finally:
            for row in plan.rows:
                if row.state in (WAITING, WORKING):
                    row.state, row.status = WAITING, "not made"
            if plan.finished:
                plan.zip = _packed(folder)
            else:
                history.drop(folder)
        yield plan

    return work


def _packed(folder: Path) -> Path:
    """A zip of all files, one folder per clip, without the clips' own zips."""
    target = folder / ZIP
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as bundle:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix != ".zip" and not path.name.startswith("."):
                bundle.write(path, path.relative_to(folder))
    return target
