"""Many clips: reading, model and writing side by side; one failure never stops the rest; finished clips are skipped."""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from stav2a.generation.engine import Engine
from stav2a.generation.generate import Job, compute, read, stop_if, write
from stav2a.generation.result import Result
from stav2a.generation.settings import Settings
from stav2a.generation.several import batch_key, compute_batch
from stav2a.media import Cancelled, InputError, probe

log = logging.getLogger(__name__)
AHEAD = 2  # clips read before the model wants them, and clips waiting to be written
RECORD = "result.json"


@dataclass(frozen=True)
class Task:
    clip: Path
    settings: Settings
    out_dir: Path


@dataclass(frozen=True)
class Outcome:
    """What became of a task: its record (as `Result.to_json`), or one sentence why there is none."""

    task: Task
    record: dict | None = None
    error: str | None = None
    skipped: bool = False


def run_batch(
    engine: Engine,
    tasks: list[Task],
    *,
    overwrite: bool = False,
    batch_size: int = 1,
    progress: Callable[[Task, object], None] = lambda task, item: None,
) -> Iterator[Outcome]:
    """Yield an outcome for every task, in the order of completion. Closing the generator stops the work.

    Up to `batch_size` clips of one length and the same dials share a pass of the model.
    """
    stop = threading.Event()
    ready: queue.Queue = queue.Queue(max(AHEAD, batch_size))
    reader = threading.Thread(target=_read_all, args=(engine, tasks, overwrite, ready, stop), daemon=True)
    writing: list[Future] = []
    reader.start()
    try:
        with ThreadPoolExecutor(1) as writer:
            try:
                for group in _groups(engine, iter(ready.get, None), batch_size):
                    if isinstance(group, Outcome):
                        yield group
                        continue
                    for task, job, outcome in _computed(engine, group, progress):
                        if isinstance(outcome, Outcome):
                            yield outcome
                        else:
                            writing.append(writer.submit(_write, engine, task, job, outcome, stop.is_set))
                    while writing and (len(writing) > AHEAD * batch_size or writing[0].done()):
                        yield writing.pop(0).result()
                while writing:
                    yield writing.pop(0).result()
            except BaseException:
                stop.set()
                raise
    finally:
        stop.set()
        while reader.is_alive():
            with suppress(queue.Empty):  # a reader that waits to hand over its clip must get free
                ready.get(timeout=0.05)
        reader.join()


def _read_all(engine: Engine, tasks: list[Task], overwrite: bool, ready: queue.Queue, stop) -> None:
    try:
        for task in tasks:
            if stop.is_set():
                return
            record = None if overwrite else finished(task)
            if record is not None:
                ready.put(Outcome(task, record, skipped=True))
                continue
            outcome = _attempt(task, lambda: _read(engine, task, stop.is_set))  # noqa: B023
            ready.put(outcome if isinstance(outcome, Outcome) else (task, outcome))
    finally:
        ready.put(None)


def _read(engine: Engine, task: Task, cancelled: Callable[[], bool]) -> Job:
    job = Job(task.clip, task.settings.validated())
    if not engine.has(task.settings.model):
        probe(task.clip, cancelled=cancelled)  # an unusable file is refused before a model is loaded for it
    with job.timed("load"):
        pipeline = engine.pipeline(task.settings.model)
    read(job, pipeline, cancelled=cancelled)
    return job


def _groups(engine: Engine, items: Iterator, batch_size: int) -> Iterator[Outcome | list[tuple[Task, Job]]]:
    """Outcomes as they come, clips in groups that can share a batch; few clips wait for others of their kind."""
    waiting: dict[tuple, list[tuple[Task, Job]]] = {}
    for item in items:
        if isinstance(item, Outcome):
            yield item
            continue
        key = None if batch_size == 1 else batch_key(item[1], engine.pipeline(item[0].settings.model))
        if key is None:
            yield [item]
            continue
        waiting.setdefault(key, []).append(item)
        if len(waiting[key]) == batch_size:
            yield waiting.pop(key)
        elif sum(map(len, waiting.values())) >= 4 * batch_size:
            yield waiting.pop(max(waiting, key=lambda k: len(waiting[k])))
    yield from waiting.values()


def _computed(engine: Engine, group: list[tuple[Task, Job]], progress: Callable) -> Iterator[tuple]:
    """(task, job, output or `Outcome`) of each clip; if a batch fails, each of its clips is tried alone."""
    if len(group) > 1:
        try:
            outputs = compute_batch([job for _, job in group], engine)
        except Exception as error:  # such as too little memory for so many at once
            log.warning("A batch of %d clips failed (%s); they go one by one.", len(group), type(error).__name__)
        else:
            yield from ((task, job, output) for (task, job), output in zip(group, outputs, strict=True))
            return
    for task, job in group:
        yield task, job, _attempt(task, lambda: _compute(engine, task, job, progress))  # noqa: B023


def _compute(engine: Engine, task: Task, job: Job, progress: Callable):
    steps = compute(job, engine)
    while True:
        try:
            progress(task, next(steps))
        except StopIteration as end:
            return end.value


def _write(engine: Engine, task: Task, job: Job, output, cancelled: Callable[[], bool]) -> Outcome:
    def attempt() -> Outcome:
        timeline = engine.pipeline(task.settings.model).timeline
        result = None
        for result in write(job, output, timeline, task.out_dir, cancelled):  # noqa: B007
            stop_if(cancelled)
        return Outcome(task, keep_record(task, result))

    return _attempt(task, attempt)


def _attempt(task: Task, work: Callable):
    """What `work` gives, or an `Outcome` that says why it failed."""
    try:
        return work()
    except InputError as error:
        return Outcome(task, error=str(error))
    except Cancelled:
        return Outcome(task, error="Stopped.")
    except Exception as error:
        log.exception("clip %s", task.clip)
        memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
        what = "There was not enough memory for this clip" if memory else f"This clip failed ({type(error).__name__})"
        return Outcome(task, error=f"{what}.")


def keep_record(task: Task, result: Result) -> dict:
    """Write the record that marks a clip as finished; files of an earlier run that are no more part of it go."""
    record = {**result.to_json(), "requested": asdict(task.settings), "source": _identity(task.clip)}
    target = task.out_dir / RECORD
    with suppress(FileNotFoundError, ValueError, TypeError, KeyError):
        for name in _files(json.loads(target.read_text(encoding="utf-8"))) - _files(record):
            (task.out_dir / name).unlink(missing_ok=True)
    temporary = target.with_name(f".{RECORD}")
    temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, target)
    return record


def finished(task: Task) -> dict | None:
    """The record of an earlier run of the same clip with the same settings, if its files are still there."""
    try:
        record = json.loads((task.out_dir / RECORD).read_text(encoding="utf-8"))
        same = record["requested"] == json.loads(json.dumps(asdict(task.settings)))
        same = same and record["source"] == _identity(task.clip)
        whole = all((task.out_dir / name).is_file() for name in _files(record))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return record if same and whole else None


def _files(record: dict) -> set[str]:
    """Names of the run's own files, without folders, whatever a record claims."""
    paths = [take[key] for take in record["takes"] for key in ("video", "audio", "figure")] + [record["bundle"]]
    return {Path(path).name for path in paths if path}


def _identity(clip: Path) -> dict[str, int]:
    status = clip.stat()
    return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
