"""A new set for Compare: two to four sounds of one clip that differ in one setting and share the noise."""

from __future__ import annotations

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
from stav2a.ui.compare import entries
from stav2a.ui.compare.entries import FEWEST
from stav2a.ui.generate import controls
from stav2a.ui.line import status
from stav2a.ui.line.following import Follower
from stav2a.ui.line.jobs import Job, explain
from stav2a.ui.recipe import Recipe, clip_and_caption, more_settings, on_reload
from stav2a.ui.shared import QUICK, WATCHING, Shared
from stav2a.ui.shares import sender_of

AXES = [
    *((TABLE[name].label, name) for name in ("guidance_scale", "steps", "seed", "sampler", "control_scale")),
    ("Parts of the model (ablation)", "parts"),
    ("Model", "model"),
]
MOST = 4  # sounds of a set
FIRST_VALUES = {"guidance_scale": "1, 3, 6", "steps": "5, 10, 25", "seed": "0, 1, 2", "control_scale": "0, 1, 2"}


class Asked(NamedTuple):
    """The request for a set; `axis`, `text` and `options` are the values of the form."""

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
            axis = gr.Dropdown(axes, value="guidance_scale", label="What differs", elem_id="compare-axis")
            values = gr.Textbox(
                FIRST_VALUES["guidance_scale"], label="Values", elem_id="compare-values",
                info="Two to four values with commas between them. All other settings and the noise stay the same.",
            )  # fmt: skip
            options = gr.CheckboxGroup([], label="Values", visible=False, elem_id="compare-options")
            with gr.Accordion("Other settings", open=False):
                recipe.fields |= more_settings(shared, "compare")
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
    """Updates of the two inputs for values, of which one is shown: comma-separated text, or checkboxes.

    Without `text` or `ticked`, it is filled with the first values of this axis.
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
    """Two to four variants from the values of the form."""
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
    """Connect the form; returns a function for the event after which the visit is known."""
    recipe = fresh.recipe
    follower = Follower(shared.jobs, [fresh.make], fresh.cancel, fresh.line, "compare")

    def ended(job: Job, visit: str) -> dict:
        """Show the finished sounds, however the job has ended."""
        asked, variants = job.about, job.about.variants
        folder = entries.folder_of(shared.history, visit, asked.clip, asked.base)
        there = entries.of_folder(folder) if folder else {}
        done = [there[name].id for variant in variants if (name := entries.variant_hash(variant)) in there]
        if job.error is not None:
            return follower.free(status.error(job.error))
        words = f"{len(done)} of {len(variants)} sounds are ready."
        said = follower.free(status.note(words if len(done) == len(variants) else f"Stopped. {words}"))
        if len(done) < FEWEST:
            return said
        return {**said, **shown(visit, done), fresh.box: gr.update(open=len(done) < len(variants))}

    async def start(request: gr.Request, *given) -> AsyncIterator[dict]:
        try:
            clip, base, (axis, text, options, visit) = recipe.read(given)
            variants = variants_of(base, axis, text, options)
            work = entries.rendering(shared.engine, shared.history, visit, clip, variants, shared.limits)
            asked = Asked(clip, base, variants, axis, text, list(options or ()))
            page, key = request.session_hash or "", follower.key(visit)
            job = shared.jobs.start(key, work, "compare", page, asked, sender_of(request))
        except Exception as error:
            yield follower.free(status.error(explain(error)))
            return
        async for update in follower.follow(job, lambda: ended(job, visit)):
            yield update

    def refill(visit: str) -> dict:
        """After a reload: restore the form. `Recipe.filled` explains why this is a separate event."""
        job = shared.jobs.get(follower.key(visit))
        if job is None:
            return {fresh.line: gr.skip()}
        asked: Asked = job.about
        values, options = entry_of(asked.axis, usable(shared), asked.text, asked.options)
        known = {fresh.axis: asked.axis, fresh.values: values, fresh.options: options}
        return {**recipe.filled(asked.clip, asked.base), **known}

    async def resume(visit: str, request: gr.Request) -> AsyncIterator[dict]:
        """After a reload: continue with a set that is still being made."""
        if (job := await follower.orphan(visit, request.session_hash or "")) is None:
            yield {fresh.line: gr.skip()}
            return
        async for update in follower.follow(job, lambda: ended(job, visit)):
            yield {fresh.box: gr.update(open=True), **update}

    views = [*outputs, *follower.views]
    inputs = recipe.inputs(fresh.axis, fresh.values, fresh.options, shared.visit)
    fresh.make.click(start, inputs, views, **WATCHING)
    fresh.cancel.click(follower.stop, shared.visit, follower.views, **QUICK)
    form = [fresh.line, *recipe.inputs(fresh.axis, fresh.values, fresh.options)]
    return on_reload(shared.visit, refill, form, resume, views)
