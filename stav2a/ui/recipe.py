"""Clip, caption and settings that a tab uses as its base before it varies some of them.

The clip and the caption are copied from Generate.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

import gradio as gr

from stav2a.generation.settings import MAX_PROMPT, Settings
from stav2a.media.limits import Limits
from stav2a.ui.generate import controls
from stav2a.ui.line.jobs import explain
from stav2a.ui.shared import QUICK, WATCHING, Shared
from stav2a.ui.upload import Video, clip_info, need, summary


@dataclass
class Recipe:
    """The components; an event takes `inputs`, and its handler reads their values with `read`."""

    source: Video
    info: gr.Markdown
    limits: Limits
    fields: dict[str, gr.components.Component] = field(default_factory=dict)

    def inputs(self, *more) -> list:
        return [self.source, *self.fields.values(), *more]

    def read(self, given: tuple) -> tuple[Path, Settings, tuple]:
        """(clip, settings, the rest) from the values that an event with `inputs` receives; raises `InputError`."""
        end = 1 + len(self.fields)
        clip = need(given[0])
        settings = controls.settings_of(dict(zip(self.fields, given[1:end], strict=True)))
        if (
            settings.length_s is not None
            and settings.start_s + settings.length_s >= clip_info(clip, self.limits).duration_s
        ):
            settings = replace(settings, length_s=None)
        return clip, settings, given[end:]

    def filled(self, clip: Path, settings: Settings) -> dict:
        """Updates that restore the form of a job with these settings; without the clip if it was removed.

        Do not use it in an event that yields more than once: the browser applies the second update to the first in
        place, which turns the clip's value into something that cannot be sent back.
        """
        values = controls.values_of(settings.to_dict())
        fields = {self.fields[name]: value for name, value in values.items() if name in self.fields}
        return {**fields, **({self.source: str(clip)} if clip.is_file() else {})}


def clip_and_caption(shared: Shared, prefix: str) -> Recipe:
    source = Video(label="Video", sources=["upload"], elem_id=f"{prefix}-source", height=230)
    info = gr.Markdown("", elem_classes="note", elem_id=f"{prefix}-info")
    prompt = gr.Textbox(
        "", label="Caption", placeholder="What should be heard? Optional.", max_length=MAX_PROMPT,
        lines=1, max_lines=2, elem_id=f"{prefix}-prompt",
    )  # fmt: skip
    recipe = Recipe(source, info, shared.limits, {"prompt": prompt})

    def describe_upload(clip) -> str:
        """A summary of the clip, or the reason why it cannot be used."""
        if clip is None:
            return ""
        try:
            return summary(clip_info(need(clip), shared.limits))
        except Exception as error:
            return explain(error)

    source.change(describe_upload, source, info, **QUICK)
    if shared.form is not None:  # copied in the browser: no request, no second upload
        copy = {"js": "(value) => value", **QUICK}
        shared.form.source.change(None, shared.form.source, source, **copy)
        shared.form.fields["prompt"].change(None, shared.form.fields["prompt"], prompt, **copy)
    return recipe


def more_settings(
    shared: Shared, prefix: str, leave_out: Collection[str] = (), length_s: float | None = None
) -> dict[str, gr.components.Component]:
    """Components for all other `Settings` that shape the sound, by name, with Generate's defaults."""
    own = shared.engine.defaults(shared.engine.default_model)
    made: dict[str, gr.components.Component] = {}
    negative = gr.Textbox(
        "", label="Negative caption", placeholder="What should not be heard", max_length=MAX_PROMPT,
        elem_id=f"{prefix}-negative",
    )  # fmt: skip
    made["negative_prompt"] = negative
    default = shared.engine.default_model
    usable = [name for name, why in controls.models(shared.engine) if why is None] or [default]
    with gr.Row():
        made["model"] = gr.Dropdown(
            usable, value=default if default in usable else usable[0], label="Model", elem_id=f"{prefix}-model",
            min_width=140,
        )  # fmt: skip
        made["sampler"] = controls.component("sampler", own["sampler"], f"{prefix}-", info=None, min_width=140)
    if "guidance_scale" not in leave_out:
        with gr.Row():
            for name in ("guidance_scale", "steps"):
                made[name] = controls.component(name, own[name], f"{prefix}-", info=None, min_width=110)
    with gr.Row():
        for name in ("seed", "control_scale"):
            made[name] = controls.component(name, None, f"{prefix}-", info=None, min_width=110)
    with gr.Row():
        made["start_s"] = controls.component("start_s", None, f"{prefix}-", info=None, min_width=110)
        made["length_s"] = controls.component(
            "length_s", length_s, f"{prefix}-", label="Length (s); 0: to the end", info=None, min_width=110,
            placeholder="to the end",
        )  # fmt: skip
    controls.follow_model(shared, made)
    return made


def on_reload(
    visit: gr.State, refill: Callable, form: list, resume: Callable, views: list
) -> Callable[[gr.events.Dependency], None]:
    """A function for the event after which the visit is known: it restores the form, then follows the job.

    These are two events for the reason given in `Recipe.filled`.
    """

    def reloaded(entered: gr.events.Dependency) -> None:
        entered.then(refill, visit, form, **QUICK).then(resume, visit, views, **WATCHING)

    return reloaded
