"""The right half of Generate: the clip with its sound, the onset editor, the figure, the measures and the files."""

from __future__ import annotations

import json

import gradio as gr

from stav2a.ui.generate import controls
from stav2a.ui.generate.edits import key_of
from stav2a.ui.generate.form import Form
from stav2a.ui.history import Run
from stav2a.ui.line import status
from stav2a.ui.shared import QUICK, Shared
from stav2a.ui.upload import Video
from stav2a.ui.widgets.figure_view import figure_value, figure_view
from stav2a.ui.widgets.layout_editor import layout_editor, layout_value
from stav2a.ui.widgets.onset_editor import editor_value, onset_editor
from stav2a.ui.widgets.result_strip import asked, result_strip, strip_value


def build(form: Form) -> None:
    """Add the components to `form`, inside an open column."""
    form.current = gr.State(None)
    form.video = Video(
        label="Clip with sound",
        interactive=False,
        elem_id="result-video",
        buttons=["download"],
        autoplay=False,
    )
    form.strip = result_strip(elem_id="result-strip")
    form.takes = gr.Radio([], label="Take", visible=False, elem_id="takes")
    form.editor = onset_editor(elem_id="onset-editor")
    form.regenerate = gr.Button("Regenerate with these onsets", elem_id="regenerate", interactive=False)
    with gr.Column(visible=False, elem_id="layout-box") as form.layout_box:
        form.layout = layout_editor(elem_id="layout-editor")
        form.paint = gr.Button("Generate with this layout", elem_id="paint")
    form.figure = figure_view("result-video", elem_id="figure")
    with gr.Row(equal_height=False):
        with gr.Column(min_width=260):
            form.audio = gr.Audio(
                label="Audio alone", interactive=False, elem_id="result-audio", buttons=["download"], visible=False,
            )  # fmt: skip
            form.bundle = gr.DownloadButton("Download everything (zip)", visible=False, elem_id="bundle", size="md")
            form.files = gr.File(
                label="Files for other programs",
                file_count="multiple",
                interactive=False,
                visible=False,
                elem_id="exports",
            )
        with gr.Column(min_width=260):
            form.measures = gr.HTML("", elem_id="measures", padding=False)
    with gr.Accordion("Settings of this run", open=False, visible=False) as form.settings_box:
        form.settings = gr.Code(language="json", interactive=False, show_label=False, elem_id="settings")


def cleared(form: Form) -> dict:
    """Updates that clear what was shown of a removed clip; its results stay in the result list and in Compare."""
    hidden = gr.update(visible=False)
    gone = gr.update(value=None, visible=False)
    return {
        form.current: None,
        form.strip: None,
        form.video: gr.update(value=None, visible=True),
        form.takes: hidden,
        form.editor: None,
        form.regenerate: gr.update(interactive=False),
        form.figure: None,
        form.audio: gone,
        form.bundle: gone,
        form.files: gone,
        form.measures: "",
        form.settings_box: hidden,
        form.layout_box: hidden,
        form.layout: None,
    }


def show_take(form: Form, run: Run, k: int) -> dict:
    """Updates that show one take of a run: video, sound, figure and measures."""
    return {**_played(form, run, k), **_measured(form, run, k)}


def _played(form: Form, run: Run, k: int) -> dict:
    take = run.takes[k]
    return {
        form.video: gr.update(value=take.video, visible=take.video is not None),
        form.audio: gr.update(value=take.audio, visible=True),
    }


def _measured(form: Form, run: Run, k: int) -> dict:
    take = run.takes[k]
    if not take.measures:  # they follow
        return {form.figure: None, form.measures: ""}
    return {
        form.figure: figure_value(take.figure),
        form.measures: (status.note(run.caption_note) if run.caption_note else "")
        + status.measures_table(take.measures, run.rtf, run.seconds, run.settings.get("loudness_lufs")),
    }


def show_run(form: Form, run: Run) -> dict:
    """Updates that show a finished run: its first take, its onsets in the editor and its settings."""
    return {**show_sound(form, run), **show_rest(form, run)}


def show_sound(form: Form, run: Run) -> dict:
    """Updates that show a run as soon as it can be played."""
    # show a suggested or reworded caption, so that it can be edited
    changed = run.caption_source != "given"
    found = {form.fields["prompt"]: run.settings["prompt"]} if changed and run.settings["prompt"] else {}
    names = [(f"Take {k + 1} · seed {take.seed}", k) for k, take in enumerate(run.takes)]
    gone = gr.update(visible=False)
    return {
        **found,
        **_played(form, run, 0),
        form.figure: None,
        form.measures: "",
        form.bundle: gone,
        form.files: gone,
        form.takes: gr.update(choices=names, value=0, visible=len(names) > 1),
        form.editor: editor_value(
            run.duration_s,
            run.onset_curve,
            run.predicted_onsets_s,
            run.onsets_s,
            run.latent_frame_s,
            run.start_s,
            key_of(run),
        ),
        form.layout_box: gr.update(visible=run.layout is not None),
        form.layout: None if run.layout is None else layout_value(run.layout, run.duration_s, run.predicted_layout),
        form.settings_box: gr.update(visible=True),
        form.settings: json.dumps(run.settings, indent=1, ensure_ascii=False),
        form.fields["seed"]: run.seed,
        form.current: run,
    }


def show_rest(form: Form, run: Run) -> dict:
    """Updates that show what is made after the sound. They leave alone what is being played or edited by then."""
    return {
        **_measured(form, run, 0),
        form.regenerate: gr.update(interactive=True),
        form.bundle: gr.update(value=run.bundle, visible=run.bundle is not None),
        form.files: gr.update(value=run.exports or None, visible=bool(run.exports)),
        form.current: run,
    }


def connect(form: Form, shared: Shared) -> gr.events.Dependency:
    """Connect takes and result strip; returns the event that may have put ids into `shared.picked`."""

    def choose(k, run: Run | None) -> dict:
        if run is None or not isinstance(k, int) or not 0 <= k < len(run.takes):
            return {form.takes: gr.skip()}
        return show_take(form, run, k)

    def from_strip(visit: str, current: Run | None, evt: gr.EventData) -> dict:
        """Show a result of the strip, restore its settings, or send it to Compare with the one on display."""
        runs = shared.history.runs(visit)
        found = asked(evt._data, runs)
        if found is None:
            return {form.status: status.error("This result is no longer on the server.")}
        run, action = found
        if action == "restore":
            values = controls.values_of({**run.settings, "reference": run.reference})
            filled = {form.fields[name]: value for name, value in values.items() if name in form.fields}
            return {**filled, form.status: status.note("The form has the settings of that result.")}
        if action == "compare" and current is not None:
            ids = [f"{each.id}/take-1" for each in (current, run)]
            return {shared.picked: ids, shared.tabs: gr.Tabs(selected="compare")}
        shown = {**show_run(form, run), form.strip: strip_value(runs, run)}
        return {**shown, form.status: status.note(f"This is an earlier result, seed {run.seed}.")}

    form.takes.input(choose, [form.takes, form.current], form.result, **QUICK)
    fields = [each for each in form.fields.values() if each not in form.result]
    outputs = [form.status, *form.result, *fields, shared.picked, shared.tabs]
    return form.strip.submit(from_strip, [shared.visit, form.current], outputs, **QUICK)
