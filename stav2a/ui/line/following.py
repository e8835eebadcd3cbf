"""A page that follows a job of its visit: what the buttons and the line under them say from its start to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import gradio as gr

from stav2a.ui.line import status
from stav2a.ui.line.jobs import Job, Jobs, watch

LEAVING_S = 2.0  # that a window which is being reloaded may take to go
STOPPING = "Stopping …"


@dataclass
class Follower:
    """The components of one kind of job, and the updates of them while it is at work.

    start: buttons that start a job and are not pressed during one   cancel: the button that stops it
    line: where it says how far it is
    """

    jobs: Jobs
    start: list[gr.Button]
    cancel: gr.Button
    line: gr.HTML
    suffix: str = ""  # of the visit, which holds one kind of job under each suffix
    busy: dict = field(default_factory=dict)

    def key(self, visit: str) -> str:
        return f"{visit}/{self.suffix}" if self.suffix else visit

    @property
    def views(self) -> list:
        return [self.line, *self.start, self.cancel]

    def free(self, line: str | None = None) -> dict:
        """The buttons when no job is at work, and what the line says."""
        said = {} if line is None else {self.line: line}
        starting = dict.fromkeys(self.start, gr.update(interactive=True))
        return {**starting, self.cancel: gr.update(interactive=False), **said}

    async def follow(
        self, job: Job, ended: Callable[[], dict], meanwhile: Callable[[], dict | None] = lambda: None
    ) -> AsyncIterator[dict]:
        """Updates of the page until the job has ended; `ended()` is the last. A job that a newer one of the same window
        has replaced ends in silence: the window shows the newer one.

        meanwhile: what else is new, asked between; both work in a thread.
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
            # a cancelled job's line could come after that of its cancelling, which says how it ended
            if (line := status.running(job)) != last and not (job.done or job.cancelled):
                yield {self.line: line}
                last = line
        if not job.replaced:
            yield await asyncio.to_thread(ended)

    async def orphan(self, visit: str, page: str) -> Job | None:
        """The job that this window takes over: one whose window is gone, or about to be."""
        key, until = self.key(visit), asyncio.get_running_loop().time() + LEAVING_S
        while (job := self.jobs.get(key)) is not None and not job.done:
            if (found := self.jobs.orphan(key)) is not None:
                found.page = page
                return found
            if asyncio.get_running_loop().time() > until:
                return None  # another window of the same visitor follows it
            await asyncio.sleep(0.1)
        return None

    def stop(self, visit: str, request: gr.Request) -> dict:
        """Cancel the job of this window. The event that follows it sees it end and says what became of it."""
        if self.jobs.cancel(self.key(visit), request.session_hash or ""):
            return {self.line: status.note(STOPPING)}
        return self.free(status.note("There is nothing to stop."))
