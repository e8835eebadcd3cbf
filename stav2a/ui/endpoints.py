"""The named API endpoints, which are also the MCP tools. They accept only uploaded files."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import gradio as gr

from stav2a.generation.settings import Settings, check_dials
from stav2a.media.limits import InputError
from stav2a.media.still import LENGTH_S as ALONE_S
from stav2a.ui.generate import controls
from stav2a.ui.generate.controls import declared
from stav2a.ui.line.jobs import outcome_of
from stav2a.ui.shared import PROGRAM, Shared
from stav2a.ui.shares import sender_of
from stav2a.ui.upload import Sound, Video, need
from stav2a.ui.widgets.onset_editor import onsets_of
from stav2a.ui.widgets.parameters import CLIP, Parameters, endpoint, file_box
from stav2a.ui.work import generation, prediction

# Gradio copies the returned files, so nothing needs to be kept per caller: all share one visit.
VISIT = "endpoints"
NOTHING = "Give a clip, or a caption, which makes a sound by itself."


def parameters(shared: Shared) -> Parameters:
    return Parameters(shared.engine.models(), shared.engine.default_model, shared.limits)


def build(shared: Shared) -> None:
    """Register `/generate` and `/predict_onsets` on the open Blocks."""
    known = parameters(shared)
    dials, part = known.offered(), ("model", "start_s", "length_s")

    async def generate(values: dict, request: gr.Request) -> tuple:
        clip, settings = values.pop("video"), asked(shared, values)
        clip = need(clip) if clip else None
        if clip is None and not settings.prompt.strip():
            raise InputError(NOTHING)
        if clip is None:
            settings = replace(settings, start_s=0.0, length_s=settings.length_s or ALONE_S)
        work = generation(shared.engine, shared.history, VISIT, clip, settings, shared.limits, drawn=False)
        run = await outcome_of(shared.jobs, work, "generate", sender_of(request))
        files = [file for take in run.takes for file in (take.video, take.audio) if file is not None]
        return run.takes[0].video, run.takes[0].audio, facts(run), files

    async def predict_onsets(values: dict, request: gr.Request) -> dict:
        clip = need(values.pop("video"))
        work = prediction(shared.engine, clip, asked(shared, values), shared.limits)
        return asdict(await outcome_of(shared.jobs, work, "onsets", sender_of(request)))

    generating = endpoint(
        generate,
        "Generate sound for a video clip: it fits what is seen and happens when it is seen.",
        {"video": f"{CLIP} Without one, the caption alone gives length_s seconds of sound.", **known.texts(dials)},
        "The clip with sound and the audio alone of the first take, the facts of the run, and the clips and audios of "
        "all takes in their order.",
        {"video": None, "model": known.default_model},
    )
    predicting = endpoint(
        predict_onsets,
        "Find the onsets of a video clip, the moments when things sound, from its pictures alone.",
        {"video": CLIP, **known.texts(part)},
        "Onset times in seconds, and the onset probability of every latent frame of the clip.",
        {"model": known.default_model},
    )
    with gr.Group(visible=False):
        boxes = {name: known.box(name) for name in dials}
        clip = file_box(Video(label="video"), CLIP, "clip.mp4")
        outputs = [Video(label="clip"), Sound(label="audio"), gr.JSON(label="facts")]
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
    """Settings from an endpoint's values; a dial that the model lacks is refused only if it is not at its default."""
    known = declared()
    has = shared.engine.dials(shared.need_model(values["model"]))
    values = {name: value for name, value in values.items() if name in has or value != known[name].default}
    onsets = values.pop("onsets_s", None)
    onsets = onsets_of({"onsets_s": onsets}) if onsets else None
    settings = controls.settings_of({**values, "layout": values.get("layout") or None}, onsets)
    check_dials(settings, has)
    return settings


def facts(run) -> dict:
    """Facts about a run for the caller, without paths of this machine."""
    data = asdict(run)
    for key in ("bundle", "id", "created", "clip", "clip_key", "original", "thumb", "reference", "exports"):
        data.pop(key)
    for take in data["takes"]:
        for key in ("video", "audio", "figure"):
            take.pop(key)
    return json.loads(json.dumps(data))
