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
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from stav2a.generation.engine import Engine, out_of_memory
from stav2a.generation.film import film, is_film
from stav2a.generation.read import ClipInput, read
from stav2a.generation.result import Result
from stav2a.generation.settings import Settings
from stav2a.generation.write import write
from stav2a.media import Cancelled, InputError, probe
from stav2a.media.frames import used_part
from stav2a.media.limits import DEFAULT_LIMITS, Limits, disk_trouble
from stav2a.output import Progress, STAV2AOutput

log = logging.getLogger(__name__)
Made = TypeVar("Made")
AHEAD = 2  # clips read before the model wants them, and clips waiting to be written
RECORD = "result.json"


@dataclass(frozen=True)
class Task:
    clip: Path
    settings: Settings
    out_dir: Path


@dataclass(frozen=True)
class Outcome:
    """The outcome of a task: its record (`Result.to_json`), or one sentence that says why it failed."""

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
    progress: Callable[[Task, Progress], None] = lambda task, item: None,
    limits: Limits | None = None,
) -> Iterator[Outcome]:
    """Yield an outcome for every task, in the order of completion. Closing the generator stops the work.

    Up to `batch_size` clips of one length and the same dials share a pass of the model. Long clips and those whose
    captions have times come last, part after part (`film`). limits: of every clip, in place of those of one pass.
    """
    films = [task for task in tasks if is_film(task.clip, task.settings)]
    tasks = [task for task in tasks if task not in films]
    yield from _run_clips(engine, tasks, overwrite, batch_size, progress, limits or DEFAULT_LIMITS)
    for task in films:
        yield _run_film(engine, task, overwrite, progress, limits)


def _run_clips(
    engine: Engine,
    tasks: list[Task],
    overwrite: bool,
    batch_size: int,
    progress: Callable[[Task, Progress], None],
    limits: Limits,
) -> Iterator[Outcome]:
    stop = threading.Event()
    ready: queue.Queue = queue.Queue(max(AHEAD, batch_size))
    reader = threading.Thread(target=_read_all, args=(engine, tasks, overwrite, ready, stop, limits), daemon=True)
    writing: list[Future] = []
    reader.start()
    try:
        with ThreadPoolExecutor(1) as writer:
            try:
                for group in _groups(iter(ready.get, None), batch_size):
                    for task, source, made in _made(engine, group, batch_size, progress):
                        if isinstance(made, Outcome):
                            yield made
                        else:
                            writing.append(writer.submit(_write, engine, task, source, made, stop.is_set, limits))
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
            with suppress(queue.Empty):  # so that a reader that waits to hand over its clip can end
                ready.get(timeout=0.05)
        reader.join()


def _run_film(
    engine: Engine, task: Task, overwrite: bool, progress: Callable[[Task, Progress], None], limits: Limits | None
) -> Outcome:
    if not overwrite and (record := finished(task)) is not None:
        return Outcome(task, record, skipped=True)

    def attempt() -> Outcome:
        if limits is not None:
            used_part(probe(task.clip, limits), task.settings.start_s, task.settings.length_s, limits)
        for item in film(engine, task.clip, task.settings, task.out_dir):
            if isinstance(item, Progress):
                progress(task, item)
            else:
                made = item
        return Outcome(task, keep_record(task, made))

    return _attempt(task, attempt)


def _read_all(
    engine: Engine, tasks: list[Task], overwrite: bool, ready: queue.Queue, stop: threading.Event, limits: Limits
) -> None:
    try:
        for task in tasks:
            if stop.is_set():
                return
            record = None if overwrite else finished(task)
            if record is not None:
                ready.put(Outcome(task, record, skipped=True))
                continue
            source = _attempt(task, lambda: _read(engine, task, stop.is_set, limits))  # noqa: B023
            ready.put(source if isinstance(source, Outcome) else (task, source))
    finally:
        ready.put(None)


def _read(engine: Engine, task: Task, cancelled: Callable[[], bool], limits: Limits) -> ClipInput:
    settings = task.settings.validated()
    if not engine.has(settings.model):
        probe(task.clip, limits, cancelled)  # an unusable file is refused before a model is loaded for it
    return read(task.clip, settings, engine.pipeline(settings.model), cancelled, limits)


def _groups(items: Iterator[Outcome | tuple[Task, ClipInput]], batch_size: int) -> Iterator[list]:
    """Tasks in groups of several batches, so that clips of equal length share a pass. Failures are outcomes."""
    waiting: dict[str, list] = {}
    most = 1 if batch_size == 1 else 4 * batch_size
    for item in items:
        if isinstance(item, Outcome):
            yield [item]
            continue
        waiting.setdefault(item[0].settings.model, []).append(item)
        if sum(map(len, waiting.values())) >= most:
            yield waiting.pop(max(waiting, key=lambda model: len(waiting[model])))
    yield from waiting.values()


def _made(engine: Engine, group: list, batch_size: int, progress: Callable) -> Iterator[tuple]:
    """(task, clip, output or `Outcome`) of each task. After a failed batch its remaining clips run one by one."""
    if isinstance(group[0], Outcome):
        yield group[0].task, None, group[0]
        return
    undone = dict(enumerate(group))
    if len(group) > 1:
        try:
            for output in _outputs(engine, group, batch_size, progress):
                yield *undone.pop(output.index), output
        except Exception as error:  # such as too little memory for so many at once
            log.warning("A batch failed (%s); its clips go one by one.", type(error).__name__)
    for task, source in undone.values():
        yield task, source, _attempt(task, lambda: _alone(engine, task, source, progress))  # noqa: B023


def _alone(engine: Engine, task: Task, source: ClipInput, progress: Callable) -> STAV2AOutput:
    (output,) = _outputs(engine, [(task, source)], 1, progress)
    return output


def _outputs(engine: Engine, group: list, batch_size: int, progress: Callable) -> Iterator[STAV2AOutput]:
    pipeline = engine.pipeline(group[0][0].settings.model)
    with engine.hold(pipeline.stream([source.request() for _, source in group], batch_size)) as items:
        for item in items:
            if isinstance(item, Progress):
                progress(group[0][0], item)
            else:
                yield item


def _write(
    engine: Engine, task: Task, source: ClipInput, output: STAV2AOutput, cancelled: Callable[[], bool], limits: Limits
) -> Outcome:
    def attempt() -> Outcome:
        timeline = engine.pipeline(task.settings.model).timeline
        *_, result = write(source, output, timeline, task.out_dir, cancelled, limits)
        assert isinstance(result, Result)
        return Outcome(task, keep_record(task, result.to_json()))

    return _attempt(task, attempt)


def _attempt(task: Task, work: Callable[[], Made]) -> Made | Outcome:
    """The result of `work`, or an `Outcome` with the reason of its failure."""
    try:
        return work()
    except InputError as error:
        return Outcome(task, error=str(error))
    except Cancelled:
        return Outcome(task, error="Stopped.")
    except Exception as error:
        if (sentence := disk_trouble(error)) is not None:
            return Outcome(task, error=sentence)
        log.exception("clip %s", task.clip)
        short = out_of_memory(error)
        what = "There was not enough memory for this clip" if short else f"This clip failed ({type(error).__name__})"
        return Outcome(task, error=f"{what}.")


def keep_record(task: Task, record: dict) -> dict:
    """Write the record that marks a clip as finished, and remove files of an earlier run that it replaces."""
    record = {**record, "requested": task.settings.to_dict(), "source": _identity(task.clip)}
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
        same = record["requested"] == json.loads(json.dumps(task.settings.to_dict()))
        same = same and record["source"] == _identity(task.clip)
        whole = all((task.out_dir / name).is_file() for name in _files(record))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return record if same and whole else None


def _files(record: dict) -> set[str]:
    """File names of a run, without folders; a record is not trusted."""
    paths = [take[key] for take in record["takes"] for key in ("video", "audio", "figure")] + [record["bundle"]]
    return {Path(path).name for path in paths if path}


def _identity(clip: Path) -> dict[str, int]:
    status = clip.stat()
    return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
