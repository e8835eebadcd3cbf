"""The Generate tab: a clip and a caption in; the clip with sound, its figure and its onsets out."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace

import gradio as gr

from stav2a.generation.settings import MAX_PROMPT
from stav2a.media.limits import InputError, Limits
from stav2a.ui import status
from stav2a.ui.generate import controls, edits, examples, reading, result_panel
from stav2a.ui.generate.result_panel import show_run, show_take
from stav2a.ui.history import Run, clip_hash
from stav2a.ui.jobs import NEWER, Job, explain, watch
from stav2a.ui.shared import WATCHING, Shared
from stav2a.ui.shares import sender_of
from stav2a.ui.upload import Video, look, need, summary
from stav2a.ui.widgets.layout_editor import painted
from stav2a.ui.widgets.onset_editor import editor_value
from stav2a.ui.widgets.result_strip import asked, strip_value
from stav2a.ui.work import Found, generation, prediction

QUICK = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
STOPPED = "Stopped. Nothing was changed."


@dataclass
class Tab:
    """The components that events and other tabs refer to."""

    source: Video
    info: gr.Markdown
    fields: dict[str, gr.components.Component] = field(default_factory=dict)

    def inputs(self, *more) -> list:
        return [self.source, *self.fields.values(), *more]

    def values(self, given: tuple) -> tuple[object, dict, tuple]:
        """(clip, values by name, the rest) of what an event with `inputs` receives."""
        end = 1 + len(self.fields)
        return given[0], dict(zip(self.fields, given[1:end], strict=True)), given[end:]


def build(shared: Shared) -> Tab:
    ready = examples.load()
    with gr.Row(equal_height=False, elem_id="form"):
        with gr.Column(scale=5, min_width=320, elem_id="inputs"):
            tab = _inputs(shared)
        with gr.Column(scale=7, min_width=320, elem_id="outputs"):
            result_panel.build(tab)
    shelf = examples.shelf(ready)
    reading.build()
    show = _events(tab, shared)
    if shelf is not None:
        examples.connect(shelf, tab, ready, show)
    return tab


def _inputs(shared: Shared) -> Tab:
    limits = shared.limits
    source = Video(label="Video", sources=["upload", "webcam"], elem_id="source-video")
    info = gr.Markdown(limits_sentence(limits), elem_classes="note", elem_id="clip-info")
    tab = Tab(source, info)
    prompt = gr.Textbox(
        label="Caption", placeholder="What should be heard? Leave empty to let the picture decide.",
        max_length=MAX_PROMPT, lines=1, max_lines=3, elem_id="prompt",
    )  # fmt: skip
    dials = controls.main(shared)
    with gr.Row():
        # both wait for the visit to be known, which takes the page a moment
        asleep = {"interactive": False, "min_width": 110}
        tab.generate = gr.Button("Generate", variant="primary", elem_id="generate", scale=3, **asleep)
        tab.find = gr.Button("Find onsets", elem_id="find", scale=2, **asleep)
        tab.cancel = gr.Button("Cancel", variant="stop", elem_id="cancel", scale=1, min_width=80, interactive=False)
    tab.status = gr.HTML(status.idle(), elem_id="run-status", padding=False)
    gr.Examples(
        [[text] for text in controls.SUGGESTIONS],
        [prompt],
        label="Captions to try",
        examples_per_page=8,
        elem_id="suggestions",
    )
    with gr.Column(min_width=0, elem_id="more"):  # on a phone it comes after the result
        negative = gr.Textbox(
            label="Negative caption", placeholder="What should not be heard, for example: speech, music",
            max_length=MAX_PROMPT, lines=1, elem_id="negative",
        )  # fmt: skip
        tab.fields = {"prompt": prompt, "negative_prompt": negative, **dials}
        with gr.Accordion("Part of the clip", open=False):
            tab.fields |= controls.part(shared)
        with gr.Accordion("Model, sampling and seed", open=False):
            tab.fields |= controls.model(shared)
        with gr.Accordion("Timing and picture", open=False):
            tab.fields |= controls.control(shared)
        with gr.Accordion("Original audio and loudness", open=False):
            tab.fields |= controls.sound()
    controls.follow_model(shared, tab.fields)
    return tab


def limits_sentence(limits: Limits) -> str:
    return f"Up to {limits.file_mb:g} MB and {limits.duration_s:g} s at once; any common video format."


def _events(tab: Tab, shared: Shared) -> Callable[[Run], dict]:
    """Connect the tab; returns what shows a finished run in it."""
    shown = [
        tab.status, tab.generate, tab.find, tab.cancel, tab.regenerate, tab.video, tab.takes, tab.editor,
        tab.figure, tab.audio, tab.bundle, tab.measures, tab.settings_box, tab.settings, tab.fields["seed"],
        tab.strip, shared.runs, tab.current, tab.layout_box, tab.layout, tab.paint,
        tab.fields["prompt"],
    ]  # fmt: skip
    tab.shown = shown

    def busy() -> dict:
        return {
            tab.generate: gr.update(interactive=False),
            tab.find: gr.update(interactive=False),
            tab.paint: gr.update(interactive=False),
            tab.cancel: gr.update(interactive=True),
        }

    def free(editable: bool | None) -> dict:
        """The buttons after a job; None: whether the editor holds onsets has not changed."""
        again = gr.skip() if editable is None else gr.update(interactive=editable)
        return {
            tab.generate: gr.update(interactive=True),
            tab.find: gr.update(interactive=True),
            tab.regenerate: again,
            tab.paint: gr.update(interactive=True),
            tab.cancel: gr.update(interactive=False),
        }

    def outcome(job: Job, visit: str) -> dict:
        """What the page shows when a job has ended, whichever way."""
        if job.error is not None:
            return {**free(None), tab.status: status.error(job.error)}
        if isinstance(job.outcome, Run):
            run = job.outcome
            done = f"Done in {run.seconds:.1f} s, seed {run.seed}."
            return {
                **free(True),
                tab.status: status.note(done + edits.told(run)),
                **show_run(tab, run),
                tab.strip: strip_value(runs := shared.history.runs(visit), run),
                shared.runs: runs,
            }
        if job.cancelled or job.outcome is None:
            return {**free(None), tab.status: status.note(STOPPED)}
        found: Found = job.outcome
        key = edits.settings_key(clip_hash(job.about[0]), job.about[1])
        value = editor_value(found.duration_s, found.curve, found.onsets_s, None, found.step_s, found.start_s, key)
        count = len(found.onsets_s)
        sentence = f"{count} onset{'' if count == 1 else 's'} found. Edit them, then press “Generate”."
        return {**free(True), tab.status: status.note(sentence), tab.editor: value}

    async def follow(job: Job, visit: str, page: str) -> AsyncIterator[dict]:
        yield {**busy(), tab.status: (last := status.running(job))}
        async for _ in watch(job):
            line = status.running(job)
            # a cancelled job's line could come after that of `cancel`, which says how it ended
            if line != last and not (job.done or job.cancelled):
                yield {tab.status: line}
                last = line
        newer = shared.jobs.replaced(visit, job)
        if newer is None:
            yield outcome(job, visit)
        elif newer.page != page:  # else this page shows the newer run already
            yield {**free(None), tab.status: status.note(NEWER)}

    def starter(kind: str, edited: bool, by_layout: bool = False):
        async def start(request: gr.Request, *given) -> AsyncIterator[dict]:
            clip, values, (editor, layout, visit) = tab.values(given)
            page = request.session_hash or ""
            try:
                path = need(clip)
                settings = controls.settings_of(values, has=shared.engine.dials(values["model"]))
                key = edits.settings_key(clip_hash(path), settings)
                if edited:
                    settings = replace(settings, onsets_s=edits.required(editor, key))
                elif kind == "generate" and not by_layout:  # edits are never lost to a press of Generate
                    settings = replace(settings, onsets_s=edits.edited(editor, key))
                if by_layout:
                    settings = replace(settings, layout=painted(layout))
                if kind == "generate":
                    work = generation(shared.engine, shared.history, visit, path, settings, shared.limits)
                else:
                    work = prediction(shared.engine, path, settings, shared.limits)
                job = shared.jobs.start(visit, work, kind, page, (path, settings), sender_of(request))
            except Exception as error:
                yield {**free(None), tab.status: status.error(explain(error))}
                return
            async for update in follow(job, visit, page):
                yield update

        return start

    run = {"outputs": shown, **WATCHING}
    inputs = tab.inputs(tab.editor, tab.layout, shared.visit)
    events = [
        gr.on([tab.generate.click, tab.fields["prompt"].submit], starter("generate", False), inputs, **run),
        tab.find.click(starter("onsets", False), inputs, **run),
        tab.regenerate.click(starter("generate", True), inputs, **run),
        tab.paint.click(starter("generate", False, by_layout=True), inputs, **run),
    ]

    def cancel(visit: str) -> dict:
        shared.jobs.cancel(visit)
        return {**free(None), tab.status: status.note(STOPPED)}

    tab.cancel.click(cancel, shared.visit, shown, cancels=events, **QUICK)

    def choose(k, run: Run | None) -> dict:
        if run is None or not isinstance(k, int) or not 0 <= k < len(run.takes):
            return {tab.takes: gr.skip()}
        return show_take(tab, run, k)

    tab.takes.input(choose, [tab.takes, tab.current], shown, **QUICK)

    part = [tab.fields["start_s"], tab.fields["length_s"]]

    def told(clip) -> dict:
        """Say what the upload holds before anything is generated; what was shown of another clip goes."""
        cleared = {**result_panel.cleared(tab), tab.regenerate: gr.update(interactive=False)}
        cleared |= dict(zip(part, (0, None), strict=True))
        if clip is None:
            return {**cleared, tab.info: limits_sentence(shared.limits), tab.status: status.idle()}
        try:
            info = look(need(clip), replace(shared.limits, duration_s=math.inf))
        except Exception as error:
            return {**cleared, tab.info: "", tab.status: status.error(explain(error))}
        said, most = status.idle(), shared.limits.duration_s
        if info.duration_s > most:  # the first part is taken; the fields say which
            cleared[part[1]] = most
            said = status.note(
                f"The clip lasts {info.duration_s:.0f} s and this page takes {most:g} s at once: the first {most:g} s "
                "are chosen. “Part of the clip” takes another part."
            )
        return {**cleared, tab.info: summary(info), tab.status: said}

    looked = [tab.info, *part, *shown]
    tab.source.upload(told, tab.source, looked, **WATCHING)
    tab.source.clear(told, tab.source, looked, **WATCHING)

    def refill(visit: str) -> dict:
        """After a reload: the form as it was when a run began; of a job of another tab, clip and caption.

        The other tabs copy both from here, so their own forms are filled after this one.
        """
        jobs = [shared.jobs.get(name) for name in (visit, f"{visit}/compare", f"{visit}/explore")]
        job = next((job for job in jobs if job is not None), None)
        if job is None:
            return {tab.info: gr.skip()}
        clip, settings = job.about[:2]
        try:
            holds = summary(look(clip, shared.limits))
        except InputError:
            return {tab.info: gr.skip()}  # the run has said why the clip cannot be used, or it was swept
        values = controls.values_of(settings.to_dict())
        own = tab.fields if job is jobs[0] else ("prompt",)
        fields = {tab.fields[name]: value for name, value in values.items() if name in own}
        return {**fields, tab.source: str(clip), tab.info: holds}

    async def restore(visit: str, request: gr.Request) -> AsyncIterator[dict]:
        """After a reload: follow the run that is still going, or show the last one."""
        job = shared.jobs.get(visit)
        runs = shared.history.runs(visit)
        if job is not None and not job.done:
            job.page = request.session_hash or ""
            async for update in follow(job, visit, job.page):
                yield update
        else:
            update = {shared.runs: runs}
            if runs:
                back = status.note("Your last result is back.")
                strip = {tab.strip: strip_value(runs, runs[-1])}
                update |= {**free(True), **show_run(tab, runs[-1]), **strip, tab.status: back}
            if job is not None and isinstance(job.outcome, Found):
                update |= outcome(job, visit)
            yield update

    def connect_strip(tabs: gr.Tabs) -> gr.events.Dependency:
        """Once the tabs are known; returns the event that may have put ids into `shared.picked`."""

        def from_strip(visit: str, current: Run | None, evt: gr.EventData) -> dict:
            """Hear a result of the strip, bring its settings back, or send it with the shown one to Compare."""
            runs = shared.history.runs(visit)
            found = asked(evt._data, runs)
            if found is None:
                return {tab.status: status.error("This result is not kept any more.")}
            run, action = found
            if action == "restore":
                values = controls.values_of(run.settings)
                filled = {tab.fields[name]: value for name, value in values.items() if name in tab.fields}
                return {**filled, tab.status: status.note("Its settings are back in the form.")}
            if action == "compare" and current is not None:
                ids = [f"{each.id}/take-1" for each in (current, run)]
                return {shared.picked: ids, tabs: gr.Tabs(selected="compare")}
            shown_now = {**free(True), **show_run(tab, run), tab.strip: strip_value(runs, run)}
            return {**shown_now, tab.status: status.note(f"Seed {run.seed}, made before.")}

        outputs = [*shown, *(each for each in tab.fields.values() if each not in shown), shared.picked, tabs]
        return tab.strip.submit(from_strip, [shared.visit, tab.current], outputs, **QUICK)

    tab.refill, tab.restore, tab.connect_strip = refill, restore, connect_strip
    return lambda run: {**free(True), tab.status: status.idle(), **show_run(tab, run)}
