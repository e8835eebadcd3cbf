"""The named API endpoints, which are the MCP tools as well. They take uploaded files only."""

from __future__ import annotations

import json
from dataclasses import asdict

import gradio as gr

from stav2a.generation.settings import Settings, check_dials
from stav2a.ui.generate import controls
from stav2a.ui.generate.controls import declared
from stav2a.ui.jobs import outcome_of
from stav2a.ui.shared import PROGRAM, Shared
from stav2a.ui.shares import sender_of
from stav2a.ui.upload import Video, need
from stav2a.ui.widgets.onset_editor import onsets_of
from stav2a.ui.widgets.parameters import endpoint, offered, parameter, texts
from stav2a.ui.work import generation, prediction

# The framework copies what is answered; callers come back for nothing, so all of them share one visit's room.
VISIT = "endpoints"


def build(shared: Shared) -> None:
    """Register `/generate` and `/predict_onsets` on the open Blocks."""
    dials, part = offered(), ("model", "start_s", "length_s")

    async def generate(values: dict, request: gr.Request) -> tuple:
        clip = need(values.pop("video"))
        work = generation(shared.engine, shared.history, VISIT, clip, asked(shared, values), shared.limits)
        run = await outcome_of(shared.jobs, work, "generate", sender_of(request))
        files = [file for take in run.takes for file in (take.video, take.audio)]
        return run.takes[0].video, run.takes[0].audio, facts(run), files

    async def predict_onsets(values: dict, request: gr.Request) -> dict:
        clip = need(values.pop("video"))
        work = prediction(shared.engine, clip, asked(shared, values), shared.limits)
        return asdict(await outcome_of(shared.jobs, work, "onsets", sender_of(request)))

    video = {"video": "The clip, an uploaded file."}
    generating = endpoint(
        generate,
        "Generate sound for a video clip: it fits what is seen and happens when it is seen.",
        {**video, **texts(dials)},
        "The clip with sound and the audio alone of the first take, the facts of the run, and the clips and audios of "
        "all takes in their order.",
    )
    predicting = endpoint(
        predict_onsets,
        "Find the onsets of a video clip, the moments when things sound, from its pictures alone.",
        {**video, **texts(part)},
        "Onset times in seconds, and the onset probability of every latent frame of the clip.",
    )
    with gr.Group(visible=False):
        boxes = {name: parameter(name, shared.engine.default_model if name == "model" else None) for name in dials}
        clip = Video(label="video")
        outputs = [Video(label="clip"), gr.Audio(label="audio"), gr.JSON(label="facts")]
        outputs.append(gr.File(label="files", file_count="multiple"))
        gr.Button().click(generating, [clip, *boxes.values()], outputs, api_name="generate", **PROGRAM)
        gr.Button().click(
            predicting,
            [clip, *(boxes[name] for name in part)],
            gr.JSON(label="onsets"),
            api_name="predict_onsets",
            **PROGRAM,
        )


def asked(shared: Shared, values: dict) -> Settings:
    """Settings of an endpoint's values; a dial that the model lacks is refused only where it was turned."""
    known = declared()
    has = shared.engine.dials(values["model"])
    values = {name: value for name, value in values.items() if name in has or value != known[name].default}
    onsets = values.pop("onsets_s", None)
    onsets = onsets_of({"onsets_s": onsets}) if onsets else None
    settings = controls.settings_of({**values, "layout": values.get("layout") or None}, onsets)
    check_dials(settings, has)
    return settings


def facts(run) -> dict:
    """What a caller may want to know of a run, without paths of this machine."""
    data = asdict(run)
    for key in ("bundle", "id", "created", "clip", "clip_key", "original", "thumb"):
        data.pop(key)
    for take in data["takes"]:
        for key in ("video", "audio", "figure"):
            take.pop(key)
    return json.loads(json.dumps(data))
