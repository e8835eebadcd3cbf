"""The job queue: a job runs in a thread while the page watches it, and continues if the page is closed.

When a browser reloads the page, Gradio drops the event, but the job continues, and the reloaded page finds it by its
visit. Starting a second job in one window stops the first; another window of the same visitor has its own jobs.

There is one queue, and one job runs at a time. Gradio's own queue would hold an event back until its turn, so the page
could neither show how many jobs are ahead nor let the visitor cancel.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import math
import re
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from stav2a.generation.engine import free_memory, out_of_memory
from stav2a.media.limits import FULL as FULL_DISK
from stav2a.media.limits import Cancelled, InputError
from stav2a.output import Progress
from stav2a.ui.line.pace import Pace, Timing
from stav2a.ui.shares import NO_ROOM

log = logging.getLogger(__name__)

NO_MEMORY = "There was not enough memory for this: use fewer takes or a shorter part of the clip."
NO_WEIGHTS = "The files of this model are missing on this server; choose another model."
OUR_FAULT = "Something went wrong on the server, and the run was stopped. The error is logged; please try again."
SHARED_GPU = "The shared GPU gave no result ({}): try fewer steps or takes or a shorter part, or come back later."
FULL = "The queue is full: {} runs are waiting. Please try again in a few minutes."
PLACES = "You already have {} runs in the queue; wait until one of them is finished."
TOO_LONG = "The run took longer than {:g} minutes and was stopped: use fewer steps or takes or a shorter part."
WAITING = 20  # most waiting jobs
A_SENDER = 3  # most of them from one address
A_VISIT = 3  # most of them from one visitor
DEADLINE_S = 900.0  # of running time, without waiting
FORGET_S = 3600


@dataclass(frozen=True)
class Early:
    """A result that can be shown, though it is not complete."""

    outcome: Any


class Job:
    """One run of `work`, an iterator of progress whose last item is the result.

    An `Early` item can be shown already. From then on the job runs to its end, which is near.
    """

    def __init__(
        self,
        work: Callable[[Callable[[], bool]], Iterator],
        kind: str,
        line: Sequence[Job] = (),
        page="",
        about=None,
        sender: str | None = None,
        deadline_s: float = math.inf,
        pace: Pace | None = None,
    ):
        self.kind = kind
        self.sender = sender
        self.deadline_s = deadline_s
        self.page = page  # the window that follows it
        self.replaced = False  # by a newer job of the same window
        self.about = about  # what a page needs to show it after a reload
        self.progress = None
        self.early = None
        self.outcome = None
        self.error: str | None = None
        self.changed = time.monotonic()  # when `progress` last entered a new stage
        self.timing, self._pace = Timing(), pace or Pace()
        self.started = False
        self.ended: float | None = None
        self._began = 0.0
        self._line = line
        self._work = work
        self._cancel, self._over = threading.Event(), threading.Event()
        self._told: list[Callable[[], object]] = []  # called when there is something to hear, and at the end
        self._context = contextvars.copy_context()  # ZeroGPU finds its request through a context variable

    @property
    def done(self) -> bool:
        return self.ended is not None

    @property
    def cancelled(self) -> bool:
        return self._cancel.is_set()

    @property
    def ahead(self) -> int:
        """Number of jobs before this one; 0 once it has started."""
        line = list(self._line)
        return sum(not job.done for job in line[: line.index(self)]) if self in line else 0

    @property
    def late(self) -> bool:
        return self.started and time.monotonic() - self._began > self.deadline_s

    def cancel(self) -> None:
        self._cancel.set()

    def stopped(self) -> bool:
        """Whether the work must stop: it was cancelled, or took too long, and nothing of it is shown yet."""
        return self.early is None and (self.cancelled or self.late)

    def join(self, timeout: float | None = None) -> None:
        self._over.wait(timeout)

    async def news(self, within_s: float, heard: Any = None) -> None:
        """Return when `early` is no longer `heard`, when the job has ended, or after `within_s` seconds."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        tell = partial(loop.call_soon_threadsafe, event.set)
        self._told.append(tell)
        try:
            if not self.done and self.early is heard:  # `tell` may have come too late for what happened before
                await asyncio.wait_for(event.wait(), within_s)
        except asyncio.TimeoutError:
            pass
        finally:
            self._told.remove(tell)

    def _tell(self) -> None:
        for tell in list(self._told):
            with contextlib.suppress(RuntimeError):  # the loop of someone who has left is closed
                tell()

    def begin(self, then: Callable[[Job], None]) -> None:
        """Run in a new thread; `then` is called when it has ended."""

        def run() -> None:
            try:
                self._run()
            finally:
                then(self)

        self.changed = self._began = time.monotonic()
        self.started = True
        name = f"stav2a-{self.kind}"
        threading.Thread(target=self._context.run, args=(run,), daemon=True, name=name).start()

    def end(self) -> None:
        if self.kind == "generate" and self.outcome is not None and not self.cancelled:
            self._pace.learn(self.model, self.timing)
        self._work = None  # frees the clip and the arrays in its closure
        self.ended = time.monotonic()
        self._over.set()
        self._tell()

    def _run(self) -> None:
        stream = None
        try:
            stream = self._work(self.stopped)
            for item in stream:
                if self.early is None and (self.cancelled or (self.late and isinstance(item, Progress))):
                    raise Cancelled
                self._note(item)
        except Cancelled:
            if not self.cancelled:
                self.error = TOO_LONG.format(self.deadline_s / 60)
            self._cancel.set()
        except BaseException as error:
            self.error = explain(error)
        finally:
            if stream is not None and hasattr(stream, "close"):
                stream.close()
            self.end()

    def _note(self, item) -> None:
        if isinstance(item, Early):
            self.early = item.outcome
            self._tell()
            return
        now = time.monotonic()
        if not isinstance(item, Progress):
            self.outcome = item
            self.timing.note(None, now)
            return
        if self.progress is None or self.progress.stage != item.stage:
            self.changed = now
        self.progress = item
        self.timing.note(item, now)

    @property
    def model(self) -> str:
        settings = self.about[1] if isinstance(self.about, tuple) and len(self.about) > 1 else None
        return getattr(settings, "model", "")

    @property
    def share(self) -> float | None:
        """Share of a generation's time that has passed; None if unknown."""
        return self.timing.share(self._pace.shape(self.model)) if self.kind == "generate" else None

    def left_s(self) -> float | None:
        """Seconds left of the whole run, or of the current stage if the work is not a generation."""
        progress, now = self.progress, time.monotonic()
        if self.kind == "generate":
            return self.timing.left_s(self._pace.shape(self.model), now)
        if progress is None or progress.step < 1 or progress.total <= progress.step:
            return None
        return (now - self.changed) / progress.step * (progress.total - progress.step)


class Jobs:
    """The jobs of all visits, and the queue of those that are not done; the first one in it runs."""

    def __init__(self, waiting: int = WAITING, deadline_s: float = DEADLINE_S):
        self.waiting, self.deadline_s = waiting, deadline_s
        self.pace = Pace()
        self._jobs: dict[str, list[Job]] = {}  # of each visit, oldest first
        self._line: list[Job] = []
        self._windows: set[str] = set()
        self._lock = threading.RLock()

    def start(
        self,
        visit: str,
        work: Callable[[Callable[[], bool]], Iterator],
        kind: str,
        page: str = "",
        about=None,
        sender: str | None = None,
    ) -> Job:
        """Add a job at the end of the queue; `InputError` if it is full.

        `page`: the window, whose earlier job is replaced. `sender`: the public address of the request; the number of
        waiting jobs per address is limited.
        """
        with self._lock:
            self._forget()
            mine = self._jobs.setdefault(visit, [])
            for job in mine:
                if job.page == page and not job.done:
                    job.replaced = True
                    self._stop(job)
            if len(self._line) > self.waiting:
                raise InputError(FULL.format(len(self._line) - 1))
            own = sum(not (job.done or job.cancelled) for job in mine)
            if sender is not None:
                own = max(own, sum(job.sender == sender and not job.cancelled for job in self._line))
            if own >= (A_VISIT if sender is None else min(A_SENDER, A_VISIT)):
                raise InputError(PLACES.format(own))
            job = Job(work, kind, self._line, page, about, sender, self.deadline_s, self.pace)
            self._jobs[visit] = [*(each for each in mine if not each.done or each is mine[-1]), job]
            self._line.append(job)
            self._next()
        return job

    def get(self, visit: str) -> Job | None:
        """The newest job of a visit."""
        return next(reversed(self._jobs.get(visit, ())), None)

    def orphan(self, visit: str) -> Job | None:
        """The newest unfinished job of a visit whose window was closed: a reloaded page takes it over."""
        jobs = reversed(self._jobs.get(visit, ()))
        return next((job for job in jobs if not job.done and job.page not in self._windows), None)

    def cancel(self, visit: str, page: str | None = None) -> bool:
        """Stop the jobs of this visit (of one window, if given), and no others; returns whether there were any."""
        with self._lock:
            found = [job for job in self._jobs.get(visit, ()) if not job.done and page in (None, job.page)]
            for job in found:
                self._stop(job)
        return bool(found)

    def opened(self, page: str) -> None:
        self._windows.add(page)

    def closed(self, page: str) -> None:
        self._windows.discard(page)

    def _stop(self, job: Job) -> None:
        job.cancel()
        if not job.started:  # no thread to wait for
            self._line.remove(job)
            job.end()

    def _next(self) -> None:
        if self._line and not self._line[0].started:
            self._line[0].begin(self._leave)

    def _leave(self, job: Job) -> None:
        with self._lock:
            self._line.remove(job)
            self._next()

    def _forget(self) -> None:
        now = time.monotonic()
        for name, jobs in list(self._jobs.items()):
            if all(job.done and now - job.ended > FORGET_S for job in jobs):
                del self._jobs[name]


async def watch(job: Job, every_s: float = 0.1) -> AsyncIterator[Job]:
    """Yield the job every `every_s` seconds until it ends, at once when it can be heard, then a last time."""
    while not job.done:
        heard = job.early
        yield job
        await job.news(every_s, heard)
    yield job


async def outcome_of(jobs: Jobs, work: Callable, kind: str, sender: str | None):
    """Run work for an API call in the queue and return its result; it is cancelled if the caller disconnects."""
    name = f"program/{secrets.token_hex(8)}"
    job = jobs.start(name, work, kind, sender=sender)
    try:
        async for _ in watch(job):
            pass
    finally:
        jobs.cancel(name)
    if job.error is not None:
        raise InputError(job.error)
    return job.outcome


def explain(error: BaseException) -> str:
    """The message for the visitor; errors that are not caused by the input are logged with traceback."""
    if isinstance(error, InputError):
        return str(error)
    if type(error).__module__ == "gradio.exceptions":  # from a shared GPU: no time left, before or during a run
        log.warning("a shared GPU refused a run", exc_info=error)
        return SHARED_GPU.format(re.sub(r"<[^>]*>", "", str(error)).strip(" '\".")[:200])
    if out_of_memory(error):
        free_memory()
        return NO_MEMORY
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        log.error("the disk is full", exc_info=error)
        return NO_ROOM
    if isinstance(error, FileNotFoundError) or type(error).__name__ in {"WeightsError", "MissingWeights"}:
        log.error("weights or a file are missing", exc_info=error)
        return NO_WEIGHTS
    log.error("a run failed", exc_info=error)
    return OUR_FAULT
