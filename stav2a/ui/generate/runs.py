"""The runs of Generate: start, follow and stop them, and find them again after a reload."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import gradio as gr

from stav2a.generation.onsets import Found
from stav2a.generation.settings import Settings
from stav2a.media.limits import InputError
from stav2a.media.still import LENGTH_S as ALONE_S
from stav2a.ui.generate import controls, edits
from stav2a.ui.generate.form import Form
from stav2a.ui.generate.result_panel import cleared, show_rest, show_run, show_sound
from stav2a.ui.history import Run
from stav2a.ui.line import status
from stav2a.ui.line.following import Follower
from stav2a.ui.line.jobs import Job, explain
from stav2a.ui.shared import QUICK, WATCHING, Shared
from stav2a.ui.shares import sender_of
from stav2a.ui.upload import clip_info, need, summary
from stav2a.ui.widgets.layout_editor import painted
from stav2a.ui.widgets.onset_editor import editor_value
from stav2a.ui.widgets.result_strip import strip_value
from stav2a.ui.work import generation, prediction

STOPPED = "Stopped. Nothing was changed."
NOTHING = "There is nothing to make a sound for yet: upload a clip, or write a caption."


class Runs:
    """Connects the `form` of a page with the job queue."""

    def __init__(self, form: Form, shared: Shared):
        self.form, self.shared = form, shared
        start = [form.generate, form.find, form.paint]
        busy = {form.regenerate: gr.update(interactive=False)}
        self.follower = Follower(shared.jobs, start, form.cancel, form.status, busy=busy)
        self.views = [*self.follower.views, *form.result, shared.runs]

    def connect(self) -> None:
        form, run = self.form, {"outputs": self.views, **WATCHING}
        inputs = form.inputs(form.editor, form.layout, self.shared.visit)
        gr.on([form.generate.click, form.fields["prompt"].submit], self._starter("generate"), inputs, **run)
        form.find.click(self._starter("onsets"), inputs, **run)
        form.regenerate.click(self._starter("edited"), inputs, **run)
        form.paint.click(self._starter("painted"), inputs, **run)
        form.cancel.click(self.follower.stop, self.shared.visit, self.follower.views, **QUICK)

    def _starter(self, kind: str):
        async def start(request: gr.Request, *given) -> AsyncIterator[dict]:
            clip, values, (editor, layout, visit) = self.form.values(given)
            shared = self.shared
            try:
                path, settings = self._asked(kind, clip, values, editor, layout)
                if kind == "onsets":
                    work = prediction(shared.engine, path, settings, shared.limits)
                else:
                    work = generation(shared.engine, shared.history, visit, path, settings, shared.limits)
                job = shared.jobs.start(
                    visit, work, "onsets" if kind == "onsets" else "generate", request.session_hash or "",
                    (path, settings), sender_of(request),
                )  # fmt: skip
            except Exception as error:
                yield self.follower.free(status.error(explain(error)))
                return
            editable = isinstance(editor, dict) and bool(editor.get("clip"))
            async for update in self._followed(job, visit, editable):
                yield update

        return start

    def _asked(self, kind: str, clip, values: dict, editor, layout) -> tuple[Path | None, Settings]:
        """The clip and the settings for a click on a button; a click on Generate never loses edits."""
        settings = controls.settings_of(values, has=self.shared.engine.dials(self.shared.need_model(values["model"])))
        path = need(clip) if clip or kind == "onsets" else None
        if path is None:
            if not settings.prompt.strip():
                raise InputError(NOTHING)
            settings = replace(settings, start_s=0.0, length_s=settings.length_s or ALONE_S)
        key = edits.settings_key(path, settings)
        if kind == "edited":
            return path, replace(settings, onsets_s=edits.required(editor, key))
        if kind == "painted":
            return path, replace(settings, layout=painted(layout))
        if kind == "generate":
            return path, replace(settings, onsets_s=edits.edited(editor, key))
        return path, settings

    def _followed(self, job: Job, visit: str, editable: bool = False) -> AsyncIterator[dict]:
        """Updates of the page while a job runs: its sound when that can be played, the rest at the end."""
        shown: list[Run] = []

        def heard() -> dict | None:
            if shown or job.early is None:
                return None
            shown.append(job.early)
            return {**show_sound(self.form, job.early), self.form.cancel: gr.update(interactive=False)}

        return self.follower.follow(job, lambda: self._ended(job, visit, editable, bool(shown)), heard)

    def _ended(self, job: Job, visit: str, editable: bool = False, heard: bool = False) -> dict:
        """Updates of the page after a job has ended in any way.

        editable: whether the editor had onsets before; heard: whether the page shows the sound already
        """
        form, free = self.form, self.follower.free
        again = {form.regenerate: gr.update(interactive=editable)}
        if job.error is not None:
            gone = cleared(form) if heard else {}  # its files are gone, too
            return {**gone, **free(status.error(job.error)), **again}
        if isinstance(job.outcome, Run):
            run = job.outcome
            runs = self.shared.history.runs(visit)
            done = f"Done in {run.seconds:.1f} s, seed {run.seed}." + edits.still_heard(run)
            shown = {
                **(show_rest if heard else show_run)(form, run),
                form.strip: strip_value(runs, run),
                self.shared.runs: runs,
            }
            return {**free(status.note(done)), **shown}
        if job.cancelled or job.outcome is None:
            return {**free(status.note(STOPPED)), **again}
        found: Found = job.outcome
        key = edits.settings_key(*job.about)
        value = editor_value(
            found.duration_s, found.curve, found.onsets_s, None, found.latent_frame_s, found.start_s, key
        )
        count = len(found.onsets_s)
        sentence = f"{count} onset{'' if count == 1 else 's'} found. Edit them, then press “Generate”."
        return {**free(status.note(sentence)), form.editor: value, form.regenerate: gr.update(interactive=True)}

    def refill(self, visit: str) -> dict:
        """After a reload: restore the form of the run; for another tab's job, only clip and caption.

        The other tabs copy both from here, so their own forms are restored after this one.
        """
        form = self.form
        jobs = [self.shared.jobs.get(name) for name in (visit, f"{visit}/compare", f"{visit}/explore")]
        job = next((job for job in jobs if job is not None), None)
        if job is None:
            return {form.info: gr.skip()}
        clip, settings = job.about[:2]
        values = controls.values_of(settings.to_dict())
        own = form.fields if job is jobs[0] else ("prompt",)
        filled = {form.fields[name]: value for name, value in values.items() if name in own}
        if clip is None:
            return filled
        try:
            info = clip_info(clip, self.shared.limits)
            chosen = settings.audio_track if job is jobs[0] else None
            track = {form.fields["audio_track"]: controls.tracks(info, chosen)}
            return {**filled, **track, form.source: str(clip), form.info: summary(info)}
        except InputError:
            return {form.info: gr.skip()}  # the run has reported why the clip cannot be used, or it was removed

    async def restore(self, visit: str, request: gr.Request) -> AsyncIterator[dict]:
        """After a reload: follow the unfinished run, or show the last one."""
        if (job := await self.follower.orphan(visit, request.session_hash or "")) is not None:
            async for update in self._followed(job, visit):
                yield update
            return
        runs, job = self.shared.history.runs(visit), self.shared.jobs.get(visit)
        update = {self.shared.runs: runs}
        if runs:
            strip = {self.form.strip: strip_value(runs, runs[-1])}
            update |= {**self.follower.free(status.note("Your last result is back.")), **show_run(self.form, runs[-1])}
            update |= strip
        if job is not None and isinstance(job.outcome, Found):
            update |= self._ended(job, visit)
        yield update
