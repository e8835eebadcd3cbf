"""The right half of Generate: the clip with its sound, the onset editor, the figure, the measures and the files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import gradio as gr

from stav2a.ui import status
from stav2a.ui.generate.edits import key_of
from stav2a.ui.history import Run
from stav2a.ui.upload import Video
from stav2a.ui.widgets.figure_view import figure_value, figure_view
from stav2a.ui.widgets.layout_editor import layout_editor, layout_value
from stav2a.ui.widgets.onset_editor import editor_value, onset_editor
from stav2a.ui.widgets.result_strip import result_strip

if TYPE_CHECKING:
    from stav2a.ui.generate.tab import Tab


def build(tab: Tab) -> None:
    """Add the components to `tab`, inside an open column."""
    tab.current = gr.State(None)  # the `Run` that is shown
    tab.video = Video(
        label="Clip with sound",
        interactive=False,
        elem_id="result-video",
        buttons=["download"],
        autoplay=False,
    )
    tab.strip = result_strip(elem_id="result-strip")
    tab.takes = gr.Radio([], label="Take", visible=False, elem_id="takes")
    tab.editor = onset_editor(elem_id="onset-editor")
    tab.regenerate = gr.Button("Regenerate with these onsets", elem_id="regenerate", interactive=False)
    with gr.Column(visible=False, elem_id="layout-box") as tab.layout_box:
        tab.layout = layout_editor(elem_id="layout-editor")
        tab.paint = gr.Button("Generate with this layout", elem_id="paint")
    tab.figure = figure_view("result-video", elem_id="figure")
    with gr.Row(equal_height=False):
        with gr.Column(min_width=260):
            tab.audio = gr.Audio(
                label="Audio alone (WAV)", interactive=False, elem_id="result-audio", buttons=["download"],
                visible=False,
            )  # fmt: skip
            tab.bundle = gr.DownloadButton("Download everything (zip)", visible=False, elem_id="bundle", size="md")
        with gr.Column(min_width=260):
            tab.measures = gr.HTML("", elem_id="measures", padding=False)
    with gr.Accordion("Settings of this run", open=False, visible=False) as tab.settings_box:
        tab.settings = gr.Code(language="json", interactive=False, show_label=False, elem_id="settings")


def cleared(tab: Tab) -> dict:
    """Nothing of a clip that is not there any more; its results stay in the list of results and in Compare."""
    hidden = gr.update(visible=False)
    return {
        tab.current: None,
        tab.strip: None,
        tab.video: None,
        tab.takes: hidden,
        tab.editor: None,
        tab.figure: None,
        tab.audio: gr.update(value=None, visible=False),
        tab.bundle: gr.update(value=None, visible=False),
        tab.measures: "",
        tab.settings_box: hidden,
        tab.layout_box: hidden,
        tab.layout: None,
    }


def show_take(tab: Tab, run: Run, k: int) -> dict:
    """One take of a run: video, sound, figure and measures."""
    take = run.takes[k]
    return {
        tab.video: take.video,
        tab.audio: gr.update(value=take.audio, visible=True),
        tab.figure: figure_value(take.figure),
        tab.measures: (status.note(run.caption_note) if run.caption_note else "")
        + status.measures_table(take.measures, run.rtf, run.seconds),
    }


def show_run(tab: Tab, run: Run) -> dict:
    """A finished run with its first take, its onsets in the editor and its settings."""
    # a caption that was found or reworded is there to be edited
    changed = run.caption_source != "given"
    found = {tab.fields["prompt"]: run.settings["prompt"]} if changed and run.settings["prompt"] else {}
    names = [(f"Take {k + 1} · seed {take.seed}", k) for k, take in enumerate(run.takes)]
    return {
        **found,
        **show_take(tab, run, 0),
        tab.takes: gr.update(choices=names, value=0, visible=len(names) > 1),
        tab.editor: editor_value(
            run.duration_s, run.onset_curve, run.predicted_onsets_s, run.onsets_s, run.step_s, run.start_s, key_of(run)
        ),
        tab.layout_box: gr.update(visible=run.layout is not None),
        tab.layout: None if run.layout is None else layout_value(run.layout, run.duration_s, run.predicted_layout),
        tab.bundle: gr.update(value=run.bundle, visible=run.bundle is not None),
        tab.settings_box: gr.update(visible=True),
        tab.settings: json.dumps(run.settings, indent=1, ensure_ascii=False),
        tab.fields["seed"]: run.seed,
        tab.current: run,
    }
