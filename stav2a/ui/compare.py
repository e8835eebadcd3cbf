"""The Compare tab: two to four results side by side on one transport, and the blind test of the same sounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import soundfile

from stav2a.media.limits import InputError
from stav2a.settings import SAMPLERS, Settings
from stav2a.ui import compare_blind, compare_results, controls, entries, status
from stav2a.ui.entries import FEWEST, MOST, Entry, pick
from stav2a.ui.jobs import Job, explain, watch
from stav2a.ui.player import Player, Sound, player_value
from stav2a.ui.recipe import QUICK, clip_and_caption, more_settings
from stav2a.ui.shared import MODEL, Shared
from stav2a.variants import AXES as VARIANT_AXES
from stav2a.variants import PARTS, along, numbers

AXES = [
    ("Guidance scale", "guidance_scale"),
    ("Steps", "steps"),
    ("Seed", "seed"),
    ("Sampler", "sampler"),
    ("Temporal control strength", "control_scale"),
    ("What steers it (ablation)", "parts"),
    ("Model", "model"),
]
FIRST_VALUES = {"guidance_scale": "1, 3, 6", "steps": "5, 10, 25", "seed": "0, 1, 2", "control_scale": "0, 1, 2"}
HINT = "Choose two to four results of one clip. There are none yet? Make some under Generate, or a fresh set here."


class After(NamedTuple):
    """What to call with the event after which the visit is known, and with one that has put ids into `picked`."""

    entered: Callable[[gr.events.Dependency], None]
    sent: Callable[[gr.events.Dependency], None]


def build(shared: Shared) -> After:
    with gr.Column(elem_id="compare-open") as open_part:
        chosen = gr.Dropdown(
            [], value=[], multiselect=True, max_choices=MOST, label="Results of this visit", elem_id="compare-chosen",
            info="Two to four results of one clip; the clip’s own sound comes along as the reference.",
        )  # fmt: skip
        note = gr.HTML(status.note(HINT), elem_id="compare-status", padding=False)
        player = Player(elem_id="compare-player", padding=False)
        with gr.Accordion("A fresh set along one axis", open=True, elem_id="compare-fresh") as box:
            fresh = {"box": box, **_fresh(shared)}
    blind = compare_blind.build(shared, chosen, open_part, player)
    compare_results.build(shared, blind)

    def choices(visit: str) -> list[tuple[str, str]]:
        listed = [entry for entry in entries.every(shared.history, visit).values() if entry.listed]
        return [(f"{entry.name} · {entry.note}", entry.id) for entry in reversed(listed)]

    def shown(visit: str, ids: Sequence[str], sentence: str = "") -> dict:
        """The page with these results in the player, or with a sentence that says why not."""
        ids = list(ids or [])
        update = {chosen: gr.update(choices=choices(visit), value=ids), **blind.offer([])}
        try:
            picked = pick(entries.every(shared.history, visit), ids)
        except InputError as refusal:
            said = status.note(sentence or HINT) if len(ids) < FEWEST else status.error(str(refusal))
            return {**update, player: None, note: gr.update(value=said, visible=True)}
        said = gr.update(value=status.note(sentence), visible=bool(sentence))
        return {**update, player: listen(picked), note: said, box: gr.update(open=False), **blind.offer(picked)}

    def latest(visit: str, ids: list[str]) -> dict:
        """New results are offered; the newest two of one clip are shown where nothing was chosen."""
        if not ids:
            listed = [entry for entry in entries.every(shared.history, visit).values() if entry.listed]
            same = [entry.id for entry in listed if entry.clip == listed[-1].clip]
            ids = same[-FEWEST:] if len(same) >= FEWEST else []
            return shown(visit, ids)
        return {chosen: gr.update(choices=choices(visit))}

    outputs = [chosen, note, player, box, *blind.offered]
    chosen.input(lambda ids, visit: shown(visit, ids), [chosen, shared.visit], outputs, **QUICK)
    shared.runs.change(latest, [shared.visit, chosen], outputs, **QUICK)
    _fresh_events(shared, fresh, shown, [*outputs, fresh["status"], fresh["make"], fresh["cancel"]])
    gr.on(
        [blind.back.click, blind.done.click],
        lambda ids, visit: shown(visit, ids),
        [chosen, shared.visit],
        outputs,
        **QUICK,
    )

    def entered(event: gr.events.Dependency) -> None:
        event.then(latest, [shared.visit, chosen], outputs, **QUICK)
        blind.resume(event)

    def sent(event: gr.events.Dependency) -> None:
        # Not `picked.change`: the browser learns of changed states from queued events only.
        event.then(lambda ids, visit: shown(visit, ids), [shared.picked, shared.visit], outputs, **QUICK)

    return After(entered, sent)


def listen(picked: Sequence[Entry]) -> dict:
    """The player's value: the entries in the order chosen, the clip's own sound last."""
    from stav2a.figures import mel_of

    def sound(name: str, path: str, onsets_s: list[float] | None, note: str = "") -> Sound:
        waveform, rate = soundfile.read(path, dtype="float32")
        return Sound(name, waveform, note, mel_of(waveform, rate), onsets_s)

    own = next((entry for entry in picked if entry.original), None)
    reference = own and sound("Original", own.original, own.original_onsets_s or [], "the clip’s own sound")
    rate = soundfile.info(picked[0].audio).samplerate
    sounds = [sound(entry.name, entry.audio, entry.onsets_s, entry.note) for entry in picked]
    video = next((entry.video for entry in picked if entry.video), None)
    return player_value(sounds, rate, video, reference)


def _fresh(shared: Shared) -> dict:
    """The controls of a fresh set."""
    usable = [name for name, why in controls.models(shared.engine) if why is None]
    axes = [axis for axis in AXES if axis[1] != "model" or len(usable) > 1]
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=280):
            recipe = clip_and_caption(shared, "compare")
        with gr.Column(scale=5, min_width=280):
            axis = gr.Dropdown(axes, value="guidance_scale", label="Axis", elem_id="compare-axis")
            values = gr.Textbox(
                FIRST_VALUES["guidance_scale"], label="Values", elem_id="compare-values",
                info="Two to four, with commas between them. All else stays equal, the noise too.",
            )  # fmt: skip
            options = gr.CheckboxGroup([], label="Values", visible=False, elem_id="compare-options")
            with gr.Accordion("Everything else", open=False):
                more_settings(shared, recipe, "compare")
            with gr.Row():
                make = gr.Button("Make the set", variant="primary", elem_id="compare-make", scale=3, min_width=120)
                cancel = gr.Button(
                    "Cancel", variant="stop", elem_id="compare-cancel", interactive=False, scale=1, min_width=90
                )
            line = gr.HTML("", elem_id="compare-progress", padding=False)

    def other_axis(name: str) -> tuple[dict, dict]:
        several = {
            "sampler": controls.SAMPLERS, "parts": [(each, each) for each in PARTS], "model": [(m, m) for m in usable],
        }.get(name)  # fmt: skip
        if several is None:
            return gr.update(visible=True, value=FIRST_VALUES[name]), gr.update(visible=False)
        first = [value for _, value in several][: MOST if name == "parts" else FEWEST]
        return gr.update(visible=False), gr.update(visible=True, choices=several, value=first)

    axis.change(other_axis, axis, [values, options], **QUICK)
    return {
        "recipe": recipe, "axis": axis, "values": values, "options": options, "make": make, "cancel": cancel,
        "status": line,
    }  # fmt: skip


def variants_of(base: Settings, axis: str, text: str, options: Sequence[str]) -> list:
    """Two to four variants from what stands in the form."""
    if axis not in VARIANT_AXES:
        raise InputError(f"The axis must be one of {', '.join(VARIANT_AXES)}.")
    if axis in ("sampler", "parts", "model"):
        order = {"sampler": SAMPLERS, "parts": tuple(PARTS)}.get(axis, tuple(options or ()))
        values = [value for value in order if value in (options or ())]
        if not FEWEST <= len(values) <= MOST:
            raise InputError(f"{len(values)} values are ticked; between {FEWEST} and {MOST} are needed.")
    else:
        values = numbers(text, axis, MOST, FEWEST)
    return along(axis, base, values)


def _fresh_events(shared: Shared, fresh: dict, shown: Callable, outputs: list) -> None:
    line, make, cancel, recipe = fresh["status"], fresh["make"], fresh["cancel"], fresh["recipe"]

    def free(sentence: str) -> dict:
        return {make: gr.update(interactive=True), cancel: gr.update(interactive=False), line: sentence}

    async def outcome(job: Job, visit: str, clip: Path, variants: list) -> dict:
        """However the job has ended: what is finished is shown."""
        folder = await asyncio.to_thread(entries.folder_of, shared.history, visit, clip, variants[0].settings)
        there = entries.of_folder(folder) if folder else {}
        done = [there[name].id for variant in variants if (name := entries.variant_hash(variant)) in there]
        if job.error is not None:
            return free(status.error(job.error))
        words = f"{len(done)} of {len(variants)} sounds are ready."
        said = free(status.note(words if len(done) == len(variants) else f"Stopped. {words}"))
        if len(done) < FEWEST:
            return said
        update = await asyncio.to_thread(shown, visit, done)
        return {**said, **update, fresh["box"]: gr.update(open=len(done) < len(variants))}

    async def start(*given) -> AsyncIterator[dict]:
        try:
            clip, base, (axis, text, options, visit) = recipe.read(given)
            variants = variants_of(base, axis, text, options)
        except Exception as error:
            yield free(status.error(explain(error)))
            return
        work = entries.rendering(shared.engine, shared.history, visit, clip, variants, shared.limits)
        job = shared.jobs.start(f"{visit}/compare", work, "compare")
        yield {make: gr.update(interactive=False), cancel: gr.update(interactive=True)}
        last = None
        async for _ in watch(job):
            if not job.done and (now := status.running(job)) != last:
                yield {line: now}
                last = now
        yield await outcome(job, visit, clip, variants)

    def stop(visit: str) -> dict:
        """The started event sees the job end and shows what is finished."""
        stopped = shared.jobs.cancel(f"{visit}/compare")
        return {line: status.note("Stopping …")} if stopped else free(status.note("There is nothing to stop."))

    inputs = recipe.inputs(fresh["axis"], fresh["values"], fresh["options"], shared.visit)
    waiting = {"show_progress": "minimal", "show_progress_on": line}  # the place in the queue
    make.click(start, inputs, outputs, api_visibility="private", **waiting, **MODEL)
    cancel.click(stop, shared.visit, [line, make, cancel], **QUICK)
