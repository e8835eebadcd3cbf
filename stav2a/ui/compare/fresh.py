"""A fresh set for Compare: two to four sounds of one clip along one axis, from the same noise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import gradio as gr

from stav2a.dials import SAMPLERS
from stav2a.generation.settings import TABLE, Settings
from stav2a.generation.variants import AXES as VARIANT_AXES
from stav2a.generation.variants import PARTS, Variant, along, numbers
from stav2a.media.limits import InputError
from stav2a.ui import status
from stav2a.ui.compare import entries
from stav2a.ui.compare.entries import FEWEST, MOST
from stav2a.ui.generate import controls
from stav2a.ui.jobs import NEWER, Job, explain, watch
from stav2a.ui.recipe import QUICK, Recipe, clip_and_caption, more_settings, on_reload
from stav2a.ui.shared import WATCHING, Shared
from stav2a.ui.shares import sender_of

AXES = [
    ("Guidance scale", "guidance_scale"),
    ("Steps", "steps"),
    ("Seed", "seed"),
    ("Sampler", "sampler"),
    ("Temporal control strength", "control_scale"),
    ("What steers it (ablation)", "parts"),
    ("Model", "model"),
]
FIRST_VALUES = {"guidance_scale": "1, 3, 6", "steps": "5, 10, 25", "seed": "0, 1, 2", "control_scale": "0, 1, 2"}


class Asked(NamedTuple):
    """What a set was asked for with; `axis`, `text` and `options` as they stood in the form."""

    clip: Path
    base: Settings
    variants: list[Variant]
    axis: str
    text: str
    options: list[str]


@dataclass
class Fresh:
    """The components of the form."""

    box: gr.Accordion
    recipe: Recipe
    axis: gr.Dropdown
    values: gr.Textbox
    options: gr.CheckboxGroup
    make: gr.Button
    cancel: gr.Button
    line: gr.HTML


def build(shared: Shared, box: gr.Accordion) -> Fresh:
    """Add the form inside the open `box`."""
    models = usable(shared)
    axes = [axis for axis in AXES if axis[1] != "model" or len(models) > 1]
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=280):
            recipe = clip_and_caption(shared, "compare")
        with gr.Column(scale=5, min_width=280):
            axis = gr.Dropdown(axes, value="guidance_scale", label="Axis", elem_id="compare-axis")
            values = gr.Textbox(
                FIRST_VALUES["guidance_scale"], label="Values", elem_id="compare-values",
                info="Two to four, with commas between them. All else stays equal, the noise too.",
            )  # fmt: skip
            options = gr.CheckboxGroup([], label="Values", visible=False, elem_id="compare-options")
            with gr.Accordion("Everything else", open=False):
                more_settings(shared, recipe, "compare")
            with gr.Row():
                make = gr.Button(
                    "Make the set", variant="primary", elem_id="compare-make", scale=3, min_width=120, interactive=False
                )
                cancel = gr.Button(
                    "Cancel", variant="stop", elem_id="compare-cancel", interactive=False, scale=1, min_width=90
                )
            line = gr.HTML("", elem_id="compare-progress", padding=False)

    axis.input(lambda name: entry_of(name, models), axis, [values, options], **QUICK)
    return Fresh(box, recipe, axis, values, options, make, cancel, line)


def usable(shared: Shared) -> list[str]:
    return [name for name, why in controls.models(shared.engine) if why is None]


def entry_of(
    axis: str, models: Sequence[str], text: str | None = None, ticked: Sequence[str] = ()
) -> tuple[dict, dict]:
    """Updates of the two ways to enter values, of which one is shown: text with commas, or boxes to tick.

    Without `text` or `ticked` it is filled with the first values of this axis.
    """
    several = {
        "sampler": controls.options(TABLE["sampler"]),
        "parts": [(each, each) for each in PARTS],
        "model": [(name, name) for name in models],
    }.get(axis)
    if several is None:
        return gr.update(visible=True, value=text or FIRST_VALUES[axis]), gr.update(visible=False)
    first = [value for _, value in several][: MOST if axis == "parts" else FEWEST]
    return gr.update(visible=False), gr.update(visible=True, choices=several, value=list(ticked) or first)


def variants_of(base: Settings, axis: str, text: str, options: Sequence[str]) -> list[Variant]:
    """Two to four variants from what stands in the form."""
    if axis not in VARIANT_AXES:
        raise InputError(f"The axis must be one of {', '.join(VARIANT_AXES)}.")
    if axis in ("sampler", "parts", "model"):
        order = {"sampler": tuple(SAMPLERS), "parts": tuple(PARTS)}.get(axis, tuple(options or ()))
        values = [value for value in order if value in (options or ())]
        if not FEWEST <= len(values) <= MOST:
            raise InputError(f"{len(values)} values are ticked; between {FEWEST} and {MOST} are needed.")
    else:
        values = numbers(text, axis, MOST, FEWEST)
    return along(axis, base, values)


def connect(shared: Shared, fresh: Fresh, shown: Callable, outputs: list) -> Callable[[gr.events.Dependency], None]:
    """Connect the form; returns what to call with the event after which the visit is known."""
    line, make, cancel, recipe = fresh.line, fresh.make, fresh.cancel, fresh.recipe
    views = [*outputs, line, make, cancel]

    def free(sentence: str) -> dict:
        return {make: gr.update(interactive=True), cancel: gr.update(interactive=False), line: sentence}

    def outcome(job: Job, visit: str) -> dict:
        """However the job has ended: what is finished is shown."""
        asked, variants = job.about, job.about.variants
        folder = entries.folder_of(shared.history, visit, asked.clip, asked.base)
        there = entries.of_folder(folder) if folder else {}
        done = [there[name].id for variant in variants if (name := entries.variant_hash(variant)) in there]
        if job.error is not None:
            return free(status.error(job.error))
        words = f"{len(done)} of {len(variants)} sounds are ready."
        said = free(status.note(words if len(done) == len(variants) else f"Stopped. {words}"))
        if len(done) < FEWEST:
            return said
        return {**said, **shown(visit, done), fresh.box: gr.update(open=len(done) < len(variants))}

    async def follow(job: Job, visit: str, page: str) -> AsyncIterator[dict]:
        yield {make: gr.update(interactive=False), cancel: gr.update(interactive=True)}
        last = None
        async for _ in watch(job):
            if not job.done and (now := status.running(job)) != last:
                yield {line: now}
                last = now
        newer = shared.jobs.replaced(_key(visit), job)
        if newer is None:
            yield await asyncio.to_thread(outcome, job, visit)
        elif newer.page != page:  # else this page shows the newer run already
            yield free(status.note(NEWER))

    async def start(request: gr.Request, *given) -> AsyncIterator[dict]:
        page = request.session_hash or ""
        try:
            clip, base, (axis, text, options, visit) = recipe.read(given)
            variants = variants_of(base, axis, text, options)
            work = entries.rendering(shared.engine, shared.history, visit, clip, variants, shared.limits)
            asked = Asked(clip, base, variants, axis, text, list(options or ()))
            job = shared.jobs.start(_key(visit), work, "compare", page, asked, sender_of(request))
        except Exception as error:
            yield free(status.error(explain(error)))
            return
        async for update in follow(job, visit, page):
            yield update

    def refill(visit: str) -> dict:
        """After a reload: the form as it was. See `Recipe.filled` why this is an event of its own."""
        job = shared.jobs.get(_key(visit))
        if job is None:
            return {line: gr.skip()}
        asked: Asked = job.about
        values, options = entry_of(asked.axis, usable(shared), asked.text, asked.options)
        known = {fresh.axis: asked.axis, fresh.values: values, fresh.options: options}
        return {**recipe.filled(asked.clip, asked.base), **known}

    async def resume(visit: str, request: gr.Request) -> AsyncIterator[dict]:
        """After a reload: on with a set that is still being made."""
        job = shared.jobs.get(_key(visit))
        if job is None or job.done:
            yield {line: gr.skip()}
            return
        job.page = request.session_hash or ""
        async for update in follow(job, visit, job.page):
            yield {fresh.box: gr.update(open=True), **update}

    def stop(visit: str) -> dict:
        """The started event sees the job end and shows what is finished."""
        stopped = shared.jobs.cancel(_key(visit))
        return {line: status.note("Stopping …")} if stopped else free(status.note("There is nothing to stop."))

    inputs = recipe.inputs(fresh.axis, fresh.values, fresh.options, shared.visit)
    make.click(start, inputs, views, **WATCHING)
    cancel.click(stop, shared.visit, [line, make, cancel], **QUICK)
    form = [line, *recipe.inputs(fresh.axis, fresh.values, fresh.options)]

    return on_reload(shared.visit, refill, form, resume, views)


def _key(visit: str) -> str:
    return f"{visit}/compare"
