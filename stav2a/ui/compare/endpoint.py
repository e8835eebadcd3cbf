"""The named API endpoint `/compare`, also an MCP tool: a set of sounds that differ in one setting."""

from __future__ import annotations

import gradio as gr

from stav2a.generation.variants import AXES, PARTS
from stav2a.ui.compare import entries
from stav2a.ui.compare.fresh import variants_of
from stav2a.ui.endpoints import asked, parameters
from stav2a.ui.line.jobs import outcome_of
from stav2a.ui.shared import PROGRAM, Shared
from stav2a.ui.shares import sender_of
from stav2a.ui.upload import Video, need
from stav2a.ui.widgets.parameters import CLIP, described, endpoint, file_box

LEFT_OUT = (
    "takes",
    "original_audio",
    "original_gain_db",
    "audio_track",
    "loudness_lufs",
    "audio_format",
    "audio_rate",
    "reference",
)  # of written clips; sounds are compared
VALUES = f"Two to four values of the axis with commas between them, such as 1, 3, 6; of parts: {', '.join(PARTS)}."


def build(shared: Shared) -> None:
    """Register `/compare` on the open Blocks."""
    known = parameters(shared)
    dials = [name for name in known.offered() if name not in LEFT_OUT]
    which = f"What differs, one of {', '.join(AXES)}."

    async def compare(values: dict, request: gr.Request) -> tuple[list, list]:
        clip, axis, of_axis = need(values.pop("video")), values.pop("axis"), str(values.pop("values"))
        options = [value.strip() for value in of_axis.split(",")]
        variants = variants_of(asked(shared, values), axis, of_axis, options)
        visit = shared.history.visit(None)
        work = entries.rendering(shared.engine, shared.history, visit, clip, variants, shared.limits)
        made = entries.of_folder(await outcome_of(shared.jobs, work, "compare", sender_of(request)))
        found = [made[entries.variant_hash(variant)] for variant in variants]
        return [entry.audio for entry in found], [
            {
                "name": entry.name,
                "onsets_s": entry.onsets_s,
                "measures": entry.measures,
                "settings": variant.settings.to_dict(),
            }
            for entry, variant in zip(found, variants, strict=True)
        ]

    comparing = endpoint(
        compare,
        "Generate two to four sounds for a video clip that differ along one axis only, from the same noise.",
        {
            "video": CLIP,
            "axis": which,
            "values": VALUES,
            **known.texts(dials),
        },
        "The sounds as WAV files in the order of the axis, and the name, onsets and measures of each.",
        {"axis": "guidance_scale", "values": "1, 3, 6", "model": known.default_model},
    )
    axes = {"type": "string", "enum": list(AXES)}
    with gr.Group(visible=False):
        inputs = [
            file_box(Video(label="video"), CLIP, "clip.mp4"),
            described(gr.Textbox("guidance_scale", label="axis"), axes, which, "guidance_scale"),
            described(gr.Textbox("1, 3, 6", label="values"), {"type": "string"}, VALUES, "1, 3, 6"),
            *map(known.box, dials),
        ]
        outputs = [gr.File(label="sounds", file_count="multiple"), gr.JSON(label="facts")]
        gr.Button().click(comparing, inputs, outputs, api_name="compare", **PROGRAM)
