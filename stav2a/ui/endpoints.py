"""The named API endpoints, which are the MCP tools as well. They take uploaded files only."""

from __future__ import annotations

import json
from dataclasses import asdict

import gradio as gr

from stav2a.generation.settings import BUILT_IN, LOUDNESS_LUFS
from stav2a.ui.generate import controls
from stav2a.ui.jobs import explain, outcome_of
from stav2a.ui.shared import PROGRAM, Shared
from stav2a.ui.shares import sender_of
from stav2a.ui.upload import Video, need
from stav2a.ui.widgets.onset_editor import onsets_of
from stav2a.ui.work import generation, prediction

# The framework copies what is answered; callers come back for nothing, so all of them share one visit's room.
VISIT = "endpoints"


def build(shared: Shared) -> None:
    """Register `/generate` and `/predict_onsets` on the open Blocks."""

    async def generate(
        video, prompt, negative_prompt, model, guidance_scale, video_guidance_scale, steps, sampler, seed,
        takes, control_scale, start_s, length_s, original_audio, original_gain_db, loudness_lufs, onsets_s,
        describe, request: gr.Request,
    ):  # fmt: skip
        """Generate sound for a video clip: it fits what is seen and happens when it is seen.

        Args:
            video: the clip, an uploaded file.
            prompt: what should be heard; empty lets the picture decide (see describe).
            negative_prompt: what should not be heard.
            model: name of a model, "compact" by default.
            guidance_scale: 1 to 10, how closely the sound follows the caption.
            video_guidance_scale: to 10, guidance by the picture alone; 1 is none, 0 the model's own.
            steps: 1 to 200 sampling steps.
            sampler: "dpm++2m", "unipc", "ddim" or "ddpm".
            seed: a whole number from 0; the same seed and settings give the same sound.
            takes: 1 to 4 variants; take k uses seed + k.
            control_scale: 0 to 2, how strongly the onsets time the sound.
            start_s: where the part of the clip begins, in seconds.
            length_s: how long the part is in seconds; 0 is to the end.
            original_audio: "replace", "mix" or "reference".
            original_gain_db: gain of the original audio when it is mixed in.
            loudness_lufs: loudness to reach, -18 by default; 0 leaves it as it is.
            onsets_s: list of onset times in seconds to follow; empty, they are predicted.
            describe: "built-in" captions a clip without a prompt by what is seen in it, "off" leaves it without.

        Returns:
            The clip with sound and the audio alone of the first take, the facts of the run, and the clips and
            audios of all takes in their order.
        """
        values = {
            "prompt": prompt, "negative_prompt": negative_prompt, "model": model,
            "guidance_scale": guidance_scale, "video_guidance_scale": video_guidance_scale,
            "steps": steps, "sampler": sampler, "seed": seed,
            "takes": takes, "control_scale": control_scale, "start_s": start_s, "length_s": length_s,
            "original_audio": original_audio, "original_gain_db": original_gain_db,
            "loudness_lufs": loudness_lufs or None, "describe": describe,
        }  # fmt: skip
        try:
            onsets = onsets_of({"onsets_s": onsets_s}) if onsets_s else None
            settings = controls.settings_of(values, onsets)
            work = generation(shared.engine, shared.history, VISIT, need(video), settings, shared.limits)
            run = await outcome_of(shared.jobs, work, "generate", sender_of(request))
        except Exception as error:
            raise gr.Error(explain(error), print_exception=False) from None
        files = [file for take in run.takes for file in (take.video, take.audio)]
        return run.takes[0].video, run.takes[0].audio, facts(run), files

    async def predict_onsets(video, model, start_s, length_s, request: gr.Request):
        """Find the onsets of a video clip, the moments when things sound, from its pictures alone.

        Args:
            video: the clip, an uploaded file.
            model: name of a model, "compact" by default.
            start_s: where the part of the clip begins, in seconds.
            length_s: how long the part is in seconds; 0 is to the end.

        Returns:
            Onset times in seconds, and the onset probability of every step of the clip.
        """
        try:
            settings = controls.settings_of({"model": model, "start_s": start_s, "length_s": length_s})
            work = prediction(shared.engine, need(video), settings, shared.limits)
            found = await outcome_of(shared.jobs, work, "onsets", sender_of(request))
        except Exception as error:
            raise gr.Error(explain(error), print_exception=False) from None
        return asdict(found)

    default = shared.engine.default_model
    own = shared.engine.defaults(default)
    with gr.Group(visible=False):
        video = Video(label="video")
        model = gr.Textbox(default, label="model")
        start, length = gr.Number(0, label="start_s"), gr.Number(0, label="length_s")
        inputs = [
            video,
            gr.Textbox("", label="prompt"),
            gr.Textbox("", label="negative_prompt"),
            model,
            gr.Number(own["guidance_scale"], label="guidance_scale"),
            gr.Number(0, label="video_guidance_scale"),
            gr.Number(own["steps"], label="steps"),
            gr.Textbox(own["sampler"], label="sampler"),
            gr.Number(0, label="seed"),
            gr.Number(1, label="takes"),
            gr.Number(1, label="control_scale"),
            start,
            length,
            gr.Textbox("replace", label="original_audio"),
            gr.Number(-12, label="original_gain_db"),
            gr.Number(LOUDNESS_LUFS, label="loudness_lufs"),
            times("onsets_s"),
            gr.Textbox(BUILT_IN, label="describe"),
        ]
        outputs = [Video(label="clip"), gr.Audio(label="audio"), gr.JSON(label="facts")]
        outputs.append(gr.File(label="files", file_count="multiple"))
        gr.Button().click(generate, inputs, outputs, api_name="generate", **PROGRAM)
        gr.Button().click(
            predict_onsets,
            [video, model, start, length],
            gr.JSON(label="onsets"),
            api_name="predict_onsets",
            **PROGRAM,
        )


def times(label: str) -> gr.JSON:
    """A list of seconds. The framework describes JSON by an empty type, which MCP clients reject."""
    box = gr.JSON([], label=label)
    box.api_info = lambda: {"type": "array", "items": {"type": "number"}, "description": "times in seconds"}
    return box


def facts(run) -> dict:
    """What a caller may want to know of a run, without paths of this machine."""
    data = asdict(run)
    for key in ("bundle", "id", "created", "clip", "clip_key", "original", "thumb"):
        data.pop(key)
    for take in data["takes"]:
        for key in ("video", "audio", "figure"):
            take.pop(key)
    return json.loads(json.dumps(data))
