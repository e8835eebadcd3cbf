"""How the page follows a job: buttons and status line from its start to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import gradio as gr

from stav2a.ui.line import status
from stav2a.ui.line.jobs import Job, Jobs, watch

LEAVING_S = 2.0  # longest time until a window that is being reloaded counts as closed
STOPPING = "Stopping …"


@dataclass
class Follower:
    """The components for one kind of job, and their updates while a job runs.

    start: buttons that start a job, disabled while one runs   cancel: the button that stops it
    line: the status line
    """

    jobs: Jobs
    start: list[gr.Button]
    cancel: gr.Button
    line: gr.HTML
    suffix: str = ""  # added to the visit; each kind of job has its own suffix
    busy: dict = field(default_factory=dict)

    def key(self, visit: str) -> str:
        return f"{visit}/{self.suffix}" if self.suffix else visit

    @property
    def views(self) -> list:
        return [self.line, *self.start, self.cancel]

    def free(self, line: str | None = None) -> dict:
        """Updates of the buttons when no job runs, and of the status line."""
        said = {} if line is None else {self.line: line}
        starting = dict.fromkeys(self.start, gr.update(interactive=True))
        return {**starting, self.cancel: gr.update(interactive=False), **said}

    async def follow(
        self, job: Job, ended: Callable[[], dict], meanwhile: Callable[[], dict | None] = lambda: None
    ) -> AsyncIterator[dict]:
        """Yield updates until the job has ended; `ended()` is the last. A job that was replaced by a newer one of the
        same window ends without an update: the window shows the newer one.

        meanwhile: returns more updates or None, called repeatedly; both run in a thread.
        """
        waiting = dict.fromkeys(self.start, gr.update(interactive=False))
        last = status.running(job)
        yield {**waiting, **self.busy, self.cancel: gr.update(interactive=True), self.line: last}
        async for _ in watch(job):
            if job.done:
                break
            more = await asyncio.to_thread(meanwhile)
            if more:
                yield more
            # skip the status of a cancelled job: it could overwrite the final one
            if (line := status.running(job)) != last and not (job.done or job.cancelled):
                yield {self.line: line}
                last = line
        if not job.replaced:
            yield await asyncio.to_thread(ended)

    async def orphan(self, visit: str, page: str) -> Job | None:
        """The job that this window takes over: one whose window was closed or is being closed."""
        key, until = self.key(visit), asyncio.get_running_loop().time() + LEAVING_S
        while (job := self.jobs.get(key)) is not None and not job.done:
            if (found := self.jobs.orphan(key)) is not None:
                found.page = page
                return found
            if asyncio.get_running_loop().time() > until:
                return None  # another open window of the visitor follows it
            await asyncio.sleep(0.1)
        return None

    def stop(self, visit: str, request: gr.Request) -> dict:
        """Cancel the job of this window. The event that follows the job then shows how it ended."""
        if self.jobs.cancel(self.key(visit), request.session_hash or ""):
            return {self.line: status.note(STOPPING)}
        return self.free(status.note("Nothing is running."))
