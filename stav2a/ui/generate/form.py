"""The components of Generate that its events and the other tabs use."""

from __future__ import annotations

from dataclasses import dataclass, field

import gradio as gr

from stav2a.ui.upload import Video


@dataclass
class Form:
    """Filled by `inputs` (the left half) and `result_panel` (the right half)."""

    source: Video
    info: gr.Markdown
    fields: dict[str, gr.components.Component] = field(default_factory=dict)  # components of the dials, by name
    preview: Video = field(init=False)  # a copy that browsers can play, if they cannot play the source
    seen: gr.Dataset = field(init=False)  # captions suggested by the describer
    generate: gr.Button = field(init=False)
    find: gr.Button = field(init=False)
    cancel: gr.Button = field(init=False)
    status: gr.HTML = field(init=False)
    story: gr.HTML = field(init=False)  # what to try with an example
    tries: gr.Dataset = field(init=False)  # captions to try

    current: gr.State = field(init=False)  # the `Run` on display
    video: Video = field(init=False)
    strip: gr.HTML = field(init=False)
    takes: gr.Radio = field(init=False)
    editor: gr.HTML = field(init=False)
    regenerate: gr.Button = field(init=False)
    layout_box: gr.Column = field(init=False)
    layout: gr.HTML = field(init=False)
    paint: gr.Button = field(init=False)
    figure: gr.HTML = field(init=False)
    audio: gr.Audio = field(init=False)
    bundle: gr.DownloadButton = field(init=False)
    files: gr.File = field(init=False)
    measures: gr.HTML = field(init=False)
    settings_box: gr.Accordion = field(init=False)
    settings: gr.Code = field(init=False)

    def inputs(self, *more) -> list:
        return [self.source, *self.fields.values(), *more]

    def values(self, given: tuple) -> tuple[object, dict, tuple]:
        """(clip, values by name, the rest) from the values that an event with `inputs` receives."""
        end = 1 + len(self.fields)
        return given[0], dict(zip(self.fields, given[1:end], strict=True)), given[end:]

    @property
    def result(self) -> list:
        """Components that show a result or are filled by one."""
        return [
            self.current, self.video, self.strip, self.takes, self.editor, self.regenerate, self.layout_box,
            self.layout, self.figure, self.audio, self.bundle, self.files, self.measures, self.settings_box,
            self.settings, self.fields["seed"], self.fields["prompt"],
        ]  # fmt: skip

    @property
    def buttons(self) -> list:
        return [self.status, self.generate, self.find, self.paint, self.cancel]
