"""The Batch tab: several clips, with one caption for all or a table of captions; a list with progress, and one zip."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

import gradio as gr

from stav2a.generation.settings import MAX_PROMPT
from stav2a.ui.batch.plan import MOST, BatchPlan, batching, plan_of
from stav2a.ui.generate import controls
from stav2a.ui.line import status
from stav2a.ui.line.following import Follower
from stav2a.ui.line.jobs import Job, explain
from stav2a.ui.recipe import more_settings
from stav2a.ui.shared import QUICK, WATCHING, Shared
from stav2a.ui.shares import sender_of
from stav2a.ui.widgets.widget import widget

HERE = Path(__file__).parent
HINT = f"Up to {MOST} clips. A CSV with the columns clip (the file name) and caption gives each clip its own caption."
TEMPLATE = '<ol class="bl" aria-label="Clips of this batch"></ol><ul class="bl-notes" aria-label="Notes"></ul>'


class Batch(NamedTuple):
    """The button to enable once the visit is known, and a function for the event after which it is known."""

    start: gr.Button
    entered: Callable[[gr.events.Dependency], None]


def build(shared: Shared) -> Batch:
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=280):
            files = gr.File(
                label="Clips, and optionally a CSV of captions", file_count="multiple", file_types=["video", ".csv"],
                elem_id="batch-files", height=180,
            )  # fmt: skip
            prompt = gr.Textbox(
                "", label="Caption for clips without one", placeholder="Optional: otherwise the picture decides.",
                max_length=MAX_PROMPT, lines=1, elem_id="batch-prompt",
            )  # fmt: skip
            with gr.Row():
                start = gr.Button(
                    "Generate all", variant="primary", elem_id="batch-make", scale=3, min_width=120, interactive=False
                )
                cancel = gr.Button(
                    "Cancel", variant="stop", elem_id="batch-cancel", interactive=False, scale=1, min_width=90
                )
            line = gr.HTML(status.note(HINT), elem_id="batch-status", padding=False)
        with gr.Column(scale=5, min_width=280):
            fields: dict[str, gr.components.Component] = {"prompt": prompt}
            with gr.Accordion("Settings for all clips", open=True):
                fields |= more_settings(shared, "batch")
    listed = widget(HERE / "list", TEMPLATE, elem_id="batch-list")
    bundle = gr.DownloadButton("Download all (zip)", visible=False, elem_id="batch-zip", size="md")
    follower = Follower(shared.jobs, [start], cancel, line, "batch", busy={bundle: gr.update(visible=False)})

    def drawn(plan: BatchPlan, with_files: bool = False) -> dict:
        return {listed: {"rows": plan.shown(with_files), "notes": plan.notes}}

    def ended(job: Job) -> dict:
        plan: BatchPlan = job.about
        count = f"{plan.finished} of {len(plan.rows)} clips have sound."
        said = status.note(f"Stopped. {count}" if job.cancelled else count)
        said = said if job.error is None else status.error(job.error)
        packed = {bundle: gr.update(value=None if plan.zip is None else str(plan.zip), visible=plan.zip is not None)}
        return {**drawn(plan, with_files=True), **packed, **follower.free(said)}

    async def follow(job: Job) -> AsyncIterator[dict]:
        last = None

        def more() -> dict | None:
            nonlocal last
            rows = job.about.shown(False)
            if rows == last:
                return None
            last = rows
            return drawn(job.about)

        async for update in follower.follow(job, lambda: ended(job), more):
            yield update

    async def begin(request: gr.Request, *given) -> AsyncIterator[dict]:
        chosen, *values, visit = given
        try:
            settings = dict(zip(fields, values, strict=True))
            settings = controls.settings_of(settings, has=shared.engine.dials(shared.need_model(settings["model"])))
            plan = plan_of(chosen, settings)
            work, page = batching(shared.engine, shared.history, visit, plan, shared.limits), request.session_hash or ""
            job = shared.jobs.start(follower.key(visit), work, "batch", page, plan, sender_of(request))
        except Exception as error:
            yield follower.free(status.error(explain(error)))
            return
        async for update in follow(job):
            yield update

    async def resume(visit: str, request: gr.Request) -> AsyncIterator[dict]:
        """After a reload: the unfinished batch, or the last one."""
        job = await follower.orphan(visit, request.session_hash or "") or shared.jobs.get(follower.key(visit))
        if job is None or not (job.done or job.page == request.session_hash):
            yield {line: gr.skip()}
            return
        if job.done:
            yield ended(job)
            return
        async for update in follow(job):
            yield update

    views = [listed, bundle, *follower.views]
    start.click(begin, [files, *fields.values(), shared.visit], views, **WATCHING)
    cancel.click(follower.stop, shared.visit, follower.views, **QUICK)
    return Batch(start, lambda event: event.then(resume, shared.visit, views, **WATCHING))
