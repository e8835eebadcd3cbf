"""The left half of Generate: clip, caption, dials, facts about the upload, and suggested captions."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import gradio as gr

from stav2a.generation.settings import MAX_PROMPT
from stav2a.media.limits import InputError, Limits
from stav2a.media.still import LENGTH_S as ALONE_S
from stav2a.ui.generate import controls, result_panel
from stav2a.ui.generate.form import Form
from stav2a.ui.line import status
from stav2a.ui.line.jobs import explain
from stav2a.ui.shared import QUICK, WATCHING, Shared
from stav2a.ui.upload import Video, clip_info, need, playable, suggested, summary

SUGGESTIONS = [
    "a hammer strikes metal",
    "footsteps on a hard floor",
    "hands play a drum",
    "a ball bounces on wood",
    "a dog barks",
    "glass breaks",
    "water splashes",
    "birds chirp outdoors",
]


def build(shared: Shared) -> Form:
    limits = shared.limits
    source = Video(label="Video", sources=["upload", "webcam"], elem_id="source-video")
    preview = Video(
        label="Preview (browsers cannot play the original format)", interactive=False, visible=False, elem_id="preview"
    )
    info = gr.Markdown(limits_sentence(limits), elem_classes="note", elem_id="clip-info")
    form = Form(source, info)
    form.preview = preview
    prompt = gr.Textbox(
        label="Caption", placeholder="What should be heard? Leave empty to let the picture decide.",
        max_length=MAX_PROMPT, lines=1, max_lines=3, elem_id="prompt",
    )  # fmt: skip
    dials = controls.main(shared)
    with gr.Row():
        # both are disabled until the visit is known, a moment after the page loads
        asleep = {"interactive": False, "min_width": 110}
        form.generate = gr.Button("Generate", variant="primary", elem_id="generate", scale=3, **asleep)
        form.find = gr.Button("Find onsets", elem_id="find", scale=2, **asleep)
        form.cancel = gr.Button("Cancel", variant="stop", elem_id="cancel", scale=1, min_width=80, interactive=False)
    form.status = gr.HTML(status.idle(), elem_id="run-status", padding=False)
    form.seen = gr.Dataset(
        label="Captions suggested from the picture", components=[gr.Textbox(visible=False)],
        samples=[[""]], visible=False, elem_id="seen",
    )  # fmt: skip
    form.story = gr.HTML(visible=False, elem_id="story", padding=False)
    form.tries = gr.Dataset(
        label="Captions to try", components=[gr.Textbox(visible=False)], samples=[[text] for text in SUGGESTIONS],
        elem_id="suggestions",
    )  # fmt: skip
    for row in (form.seen, form.tries):
        row.click(lambda sample: sample[0], row, prompt, **QUICK)
    with gr.Column(min_width=0, elem_id="more"):  # on phones, below the result
        negative = gr.Textbox(
            label="Negative caption", placeholder="What should not be heard, for example: speech, music",
            max_length=MAX_PROMPT, lines=1, elem_id="negative",
        )  # fmt: skip
        form.fields = {"prompt": prompt, "negative_prompt": negative, **dials}
        with gr.Accordion("Part of the clip", open=False):
            form.fields |= controls.part(shared)
        with gr.Accordion("Model, sampling and seed", open=False):
            form.fields |= controls.model(shared)
        with gr.Accordion("Timing and picture", open=False):
            form.fields |= controls.control(shared)
        with gr.Accordion("A sound of your own, and recordings", open=False):
            form.fields |= controls.by_example(shared)
        with gr.Accordion("Original audio and loudness", open=False):
            form.fields |= controls.sound()
        with gr.Accordion("Files for other programs", open=False):
            form.fields |= controls.files()
    controls.follow_model(shared, form.fields)
    return form


def tried(first: str = "") -> dict:
    """Update of the captions to try, with another one in front."""
    return gr.update(samples=[[text] for text in dict.fromkeys([first, *SUGGESTIONS]) if text])


def limits_sentence(limits: Limits) -> str:
    return (
        f"Up to {limits.file_mb:g} MB and {limits.duration_s:g} s. With no clip, the caption alone makes {ALONE_S:g} s."
    )


def connect(form: Form, shared: Shared) -> None:
    """Connect the events for a clip that is uploaded or removed."""
    part, track = [form.fields["start_s"], form.fields["length_s"]], form.fields["audio_track"]
    shown = [form.info, form.status, form.preview, form.seen, form.story, form.tries, *part, track, *form.result]
    hidden = gr.update(visible=False)

    def describe_upload(clip) -> dict:
        """Describe the upload before anything is generated, and clear what was shown of another clip."""
        cleared = {**result_panel.cleared(form), form.preview: hidden, form.seen: hidden, form.story: hidden}
        cleared |= {**dict(zip(part, (0, None), strict=True)), track: controls.tracks(None), form.tries: tried()}
        if clip is None:
            return {**cleared, form.info: limits_sentence(shared.limits), form.status: status.idle()}
        try:
            info = clip_info(need(clip), replace(shared.limits, duration_s=math.inf))
        except Exception as error:
            return {**cleared, form.info: "", form.status: status.error(explain(error))}
        said, most = status.idle(), shared.limits.duration_s
        if info.duration_s > most:  # use the first part; the fields show which
            cleared[part[1]] = most
            said = status.note(
                f"The clip lasts {info.duration_s:.0f} s; this page accepts {most:g} s at once. The first {most:g} s "
                "are selected; choose another part under “Part of the clip”."
            )
        return {**cleared, form.info: summary(info), form.status: said, track: controls.tracks(info)}

    async def captions_and_preview(clip) -> dict:
        """The describer's captions, and a copy for browsers if they cannot play the upload."""
        if clip is None:
            return {form.seen: hidden, form.preview: hidden}
        try:
            seen, copy = await asyncio.gather(
                asyncio.to_thread(suggested, need(clip), shared.limits),
                asyncio.to_thread(playable, need(clip), shared.limits),
            )
        except InputError:
            return {form.seen: hidden, form.preview: hidden}  # `describe_upload` shows the reason
        return {
            form.seen: gr.update(visible=bool(seen), samples=[[text] for text in seen or [""]]),
            form.preview: gr.update(visible=copy is not None, value=None if copy is None else str(copy)),
        }

    for event in (form.source.upload, form.source.clear, form.source.stop_recording):
        described = event(describe_upload, form.source, shown, **WATCHING)
        described.then(captions_and_preview, form.source, [form.seen, form.preview], **WATCHING)
