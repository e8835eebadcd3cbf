"""The Generate tab: a clip and a caption in; the clip with sound, its figure and its onsets out."""

from __future__ import annotations

from typing import NamedTuple

import gradio as gr

from stav2a.ui.generate import examples, inputs, reading, result_panel
from stav2a.ui.generate.form import Form
from stav2a.ui.generate.runs import Runs
from stav2a.ui.shared import Shared


class Generate(NamedTuple):
    """`sent`: the event that may have put ids into `shared.picked`."""

    form: Form
    runs: Runs
    sent: gr.events.Dependency


def build(shared: Shared) -> Generate:
    shelf = examples.build()
    with gr.Row(equal_height=False, elem_id="form"):
        with gr.Column(scale=5, min_width=320, elem_id="inputs"):
            form = inputs.build(shared)
        with gr.Column(scale=7, min_width=320, elem_id="outputs"):
            result_panel.build(form)
    reading.build()
    inputs.connect(form, shared)
    if shelf is not None:
        examples.connect(*shelf, form, shared)
    runs = Runs(form, shared)
    runs.connect()
    return Generate(form, runs, result_panel.connect(form, shared))
