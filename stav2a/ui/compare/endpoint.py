"""The named API endpoint `/compare`, an MCP tool as well: a set of sounds along one axis."""

from __future__ import annotations

from dataclasses import asdict

import gradio as gr

from stav2a.ui.compare import entries
from stav2a.ui.compare.fresh import variants_of
from stav2a.ui.generate import controls
from stav2a.ui.jobs import explain, outcome_of
from stav2a.ui.shared import PROGRAM, Shared
from stav2a.ui.shares import sender_of
from stav2a.ui.upload import Video, need


def build(shared: Shared) -> None:
    """Register `/compare` on the open Blocks."""

    async def compare(
        video, axis, values, prompt, negative_prompt, model, guidance_scale, steps, sampler, seed, control_scale,
        start_s, length_s, request: gr.Request,
    ):  # fmt: skip
        """Generate two to four sounds for a video clip that differ along one axis only, from the same noise.

        Args:
            video: the clip, an uploaded file.
            axis: "guidance_scale", "steps", "seed", "sampler", "control_scale", "model" or "parts".
            values: two to four values of the axis with commas between them, for example "1, 3, 6"; of "parts":
                "text only", "+ video control", "+ onset curve", "+ global tokens".
            prompt: what should be heard; empty lets the picture decide.
            negative_prompt: what should not be heard.
            model: name of a model.
            guidance_scale: 1 to 10, how closely the sound follows the caption.
            steps: 1 to 200 sampling steps.
            sampler: "dpm++2m", "unipc", "ddim" or "ddpm".
            seed: a whole number from 0.
            control_scale: 0 to 2, how strongly the onsets time the sound.
            start_s: where the part of the clip begins, in seconds.
            length_s: how long the part is in seconds; 0 is to the end.

        Returns:
            The sounds as WAV files in the order of the axis, and the name, onsets and measures of each.
        """
        base = {
            "prompt": prompt, "negative_prompt": negative_prompt, "model": model, "guidance_scale": guidance_scale,
            "steps": steps, "sampler": sampler, "seed": seed, "control_scale": control_scale, "start_s": start_s,
            "length_s": length_s,
        }  # fmt: skip
        visit = shared.history.visit(None)
        try:
            options = [value.strip() for value in str(values).split(",")]
            asked = variants_of(controls.settings_of(base), axis, str(values), options)
            work = entries.rendering(shared.engine, shared.history, visit, need(video), asked, shared.limits)
            folder = await outcome_of(shared.jobs, work, "compare", sender_of(request))
        except Exception as error:
            raise gr.Error(explain(error), print_exception=False) from None
        made = entries.of_folder(folder)
        found = [made[entries.variant_hash(variant)] for variant in asked]
        return [entry.audio for entry in found], [
            {
                "name": entry.name,
                "onsets_s": entry.onsets_s,
                "measures": entry.measures,
                "settings": asdict(variant.settings),
            }
            for entry, variant in zip(found, asked, strict=True)
        ]

    own = shared.engine.defaults(shared.engine.default_model)
    with gr.Group(visible=False):
        inputs = [
            Video(label="video"),
            gr.Textbox("guidance_scale", label="axis"),
            gr.Textbox("1, 3, 6", label="values"),
            gr.Textbox("", label="prompt"),
            gr.Textbox("", label="negative_prompt"),
            gr.Textbox(shared.engine.default_model, label="model"),
            gr.Number(own["guidance_scale"], label="guidance_scale"),
            gr.Number(own["steps"], label="steps"),
            gr.Textbox(own["sampler"], label="sampler"),
            gr.Number(0, label="seed"),
            gr.Number(1, label="control_scale"),
            gr.Number(0, label="start_s"),
            gr.Number(0, label="length_s"),
        ]
        outputs = [gr.File(label="sounds", file_count="multiple"), gr.JSON(label="facts")]
        gr.Button().click(compare, inputs, outputs, api_name="compare", **PROGRAM)
