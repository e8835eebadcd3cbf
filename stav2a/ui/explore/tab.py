"""The Explore tab: a grid of guidance scales and steps, all from the same noise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import gradio as gr

from stav2a.generation.settings import Settings
from stav2a.generation.variants import grid, numbers
from stav2a.ui.compare import entries
from stav2a.ui.explore.curves import curves_html
from stav2a.ui.explore.grid import explore_grid, grid_value
from stav2a.ui.line import status
from stav2a.ui.line.following import Follower
from stav2a.ui.line.jobs import Job, explain
from stav2a.ui.recipe import clip_and_caption, more_settings, on_reload
from stav2a.ui.shared import QUICK, WATCHING, Shared
from stav2a.ui.shares import sender_of

COLUMNS, ROWS = 6, 4  # maximum
LENGTH_S = 8.0
GONE = "These sounds are no longer on the server; fill the grid again."
HINT = "The grid appears below. All cells start from the same noise; only guidance and steps differ."


class Explore(NamedTuple):
    """The button to enable once the visit is known, a function for the event after which it is known, and the event
    that has put ids into `shared.picked`."""

    fill: gr.Button
    entered: Callable[[gr.events.Dependency], None]
    sent: gr.events.Dependency


def build(shared: Shared) -> Explore:
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=280):
            recipe = clip_and_caption(shared, "explore")
        with gr.Column(scale=5, min_width=280):
            with gr.Row():
                guidance = gr.Textbox(
                    "1, 2, 3, 5, 7, 10", label="Guidance", info=f"Up to {COLUMNS} values from 1 to 10.",
                    elem_id="explore-guidance", min_width=140,
                )  # fmt: skip
                steps = gr.Textbox(
                    rows_around(shared.engine.defaults(shared.engine.default_model)["steps"]), label="Steps",
                    info=f"Up to {ROWS} values from 1 to 200.", elem_id="explore-steps", min_width=140,
                )  # fmt: skip
            with gr.Accordion("Other settings", open=False):
                recipe.fields |= more_settings(shared, "explore", ("guidance_scale", "steps"), LENGTH_S)
            with gr.Row():
                fill = gr.Button(
                    "Fill the grid", variant="primary", elem_id="explore-fill", scale=3, min_width=120,
                    interactive=False,
                )  # fmt: skip
                cancel = gr.Button(
                    "Cancel", variant="stop", elem_id="explore-cancel", interactive=False, scale=1, min_width=90
                )
            line = gr.HTML(status.note(HINT), elem_id="explore-status", padding=False)
    board = explore_grid(elem_id="explore-grid")
    curves = gr.HTML("", elem_id="explore-curves", padding=False, apply_default_css=False)
    plan = gr.State(None)  # (clip, base settings, guidance scales, steps) of the grid on display

    follower = Follower(shared.jobs, [fill], cancel, line, "explore", busy={curves: ""})

    def drawn(visit: str, asked: tuple, cells: dict) -> dict:
        """Update of the grid with the cells on disk."""
        _, _, scales, counts = asked
        return {board: grid_value(_key(asked), scales, counts, cells)}

    def ended(job: Job, visit: str) -> dict:
        """Updates of the grid and its curves after the job has ended, complete or stopped."""
        _, _, scales, counts = asked = job.about
        cells, total = finished(shared, visit, *asked), len(scales) * len(counts)
        words = f"{len(cells)} of {total} cells. Click one to hear it."
        said = status.note(words if len(cells) == total else f"Stopped with {words}")
        said = said if job.error is None else status.error(job.error)
        return {**drawn(visit, asked, cells), curves: curves_html(scales, counts, cells), **follower.free(said)}

    async def follow(job: Job, visit: str) -> AsyncIterator[dict]:
        """Yield new cells as they are finished, and progress in between."""
        seen = -1

        def more() -> dict | None:
            nonlocal seen
            cells = finished(shared, visit, *job.about)
            if len(cells) == seen:
                return None
            seen = len(cells)
            return drawn(visit, job.about, cells)

        yield {plan: job.about}
        async for update in follower.follow(job, lambda: ended(job, visit), more):
            yield update

    async def start(request: gr.Request, *given) -> AsyncIterator[dict]:
        try:
            clip, base, (scales, counts, visit) = recipe.read(given)
            asked = clip, base, numbers(scales, "guidance_scale", COLUMNS), numbers(counts, "steps", ROWS)
            work, page = filling(shared, visit, *asked), request.session_hash or ""
            job = shared.jobs.start(follower.key(visit), work, "explore", page, asked, sender_of(request))
        except Exception as error:
            yield follower.free(status.error(explain(error)))
            return
        async for update in follow(job, visit):
            yield update

    def refill(visit: str) -> dict:
        """After a reload: restore the form. `Recipe.filled` explains why this is a separate event."""
        job = shared.jobs.get(follower.key(visit))
        if job is None:
            return {line: gr.skip()}
        clip, base, scales, counts = job.about
        texts = {guidance: ", ".join(f"{w:g}" for w in scales), steps: ", ".join(map(str, counts))}
        return {**recipe.filled(clip, base), **texts}

    async def resume(visit: str, request: gr.Request) -> AsyncIterator[dict]:
        """After a reload: show the last grid and continue it if it is unfinished."""
        job = await follower.orphan(visit, request.session_hash or "") or shared.jobs.get(follower.key(visit))
        if job is None:
            yield {line: gr.skip()}
            return
        if job.done:
            yield {plan: job.about, **await asyncio.to_thread(ended, job, visit)}
            return
        async for update in follow(job, visit):
            yield update

    def send(visit: str, asked: tuple | None, evt: gr.EventData) -> tuple:
        """Offer the marked cells as results in Compare and show them there."""
        ids = evt._data.get("ids") if isinstance(evt._data, dict) else None
        cells = {entry.id: entry for entry in finished(shared, visit, *asked).values()} if asked else {}
        known = [each for each in ids or [] if isinstance(each, str) and each in cells][: entries.MOST]
        if not known:
            return gr.skip(), gr.skip(), status.error(GONE)
        for each in known:
            folder, stem = each.split("/")
            entries.relabel(shared.history.folder(visit) / folder, stem, listed=True)
        return known, gr.Tabs(selected="compare"), gr.skip()

    views = [board, curves, *follower.views, plan]
    inputs = recipe.inputs(guidance, steps, shared.visit)
    fill.click(start, inputs, views, **WATCHING)
    cancel.click(follower.stop, shared.visit, follower.views, **QUICK)
    sent = board.submit(send, [shared.visit, plan], [shared.picked, shared.tabs, line], **QUICK)
    form = [line, *recipe.inputs(guidance, steps)]

    return Explore(fill, on_reload(shared.visit, refill, form, resume, views), sent)


def rows_around(own: int) -> str:
    """Half the model's default number of steps, that number, and twice that number."""
    return ", ".join(map(str, sorted({max(1, own // 2), own, min(2 * own, 200)})))


def filling(
    shared: Shared, visit: str, clip: Path, base: Settings, scales: Sequence[float], counts: Sequence[int]
) -> Callable:
    """Work for a job: make the missing cells, fewest steps first."""
    variants = grid(base, scales, counts)
    return entries.rendering(shared.engine, shared.history, visit, clip, variants, shared.limits, listed=False)


def finished(
    shared: Shared, visit: str, clip: Path, base: Settings, scales: Sequence[float], counts: Sequence[int]
) -> dict[tuple[int, int], entries.Entry]:
    """The cells on disk by (row, column), in order of completion."""
    folder = entries.folder_of(shared.history, visit, clip, base)
    there = entries.of_folder(folder) if folder else {}
    places = {}
    for place, variant in enumerate(grid(base, scales, counts)):
        places[entries.variant_hash(variant)] = divmod(place, len(scales))
    return {places[name]: entry for name, entry in there.items() if name in places}


def _key(asked: tuple) -> str:
    clip, base, scales, counts = asked
    return f"{clip.name} {base} {scales} {counts}"
