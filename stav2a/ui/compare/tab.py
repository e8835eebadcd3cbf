"""The Compare tab: two to six results in one player, and a blind test of the same sounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import numpy as np
import soundfile

from stav2a.media.limits import InputError
from stav2a.ui.compare import blind_tab as compare_blind
from stav2a.ui.compare import entries, ready
from stav2a.ui.compare import fresh as compare_fresh
from stav2a.ui.compare import results_tab as compare_results
from stav2a.ui.compare.entries import FEWEST, Entry, pick
from stav2a.ui.differences import differences
from stav2a.ui.line import status
from stav2a.ui.shared import QUICK, Shared
from stav2a.ui.widgets.player import Sound, player_value, sound_player
from stav2a.ui.widgets.result_picker import picker_value, result_picker, ticked

HINT = "Choose two to six results of one clip. Make some under Generate first, or make a set below."


class After(NamedTuple):
    """Functions for the event after which the visit is known, and for one that has put ids into `picked`; and the
    button to enable once the visit is known."""

    make: gr.Button
    entered: Callable[[gr.events.Dependency], None]
    sent: Callable[[gr.events.Dependency], None]


def build(shared: Shared) -> After:
    chosen, sets = gr.State([]), ready.installed()  # chosen: ids
    with gr.Column(elem_id="compare-open") as open_part:
        with gr.Accordion("Your results", open=True, elem_id="compare-results"):
            picker = result_picker(elem_id="compare-chosen")
        with gr.Row(equal_height=True):
            note = gr.HTML(status.note(HINT), elem_id="compare-status", padding=False)
            buttons = [_button(folder) for folder in sets]
        player = sound_player(elem_id="compare-player")
        with gr.Accordion("Make a set that differs in one setting", open=True, elem_id="compare-fresh") as box:
            fresh = compare_fresh.build(shared, box)
    blind = compare_blind.build(shared, chosen, open_part, player)
    compare_results.build(shared, blind)
    remembered = shared.compared

    def offered(visit: str, ids: Sequence[str]) -> dict:
        listed = [entry for entry in entries.every(shared.history, visit).values() if entry.listed]
        return {picker: picker_value(listed, ids)}

    def shown(visit: str, ids: Sequence[str], sentence: str = "") -> dict:
        """Updates that show these results in the player, or a sentence on why they cannot be shown."""
        ids = list(ids or [])
        update = {**offered(visit, ids), chosen: ids, remembered: ids, **blind.offer([])}
        try:
            picked = pick(entries.every(shared.history, visit), ids)
            shared.listens.spend(visit)
            heard = listen(picked)
        except InputError as refusal:
            said = status.note(sentence or HINT) if len(ids) < FEWEST else status.error(str(refusal))
            return {**update, player: None, note: gr.update(value=said, visible=True)}
        said = gr.update(value=status.note(sentence), visible=bool(sentence))
        return {**update, player: heard, note: said, box: gr.update(open=False), **blind.offer(picked)}

    def latest(visit: str, ids: list[str], before: list[str]) -> dict:
        """Offer new results. If nothing is chosen, show what was shown before a reload if all of it still exists,
        else the newest two results of one clip."""
        if ids:
            return offered(visit, ids)
        known = entries.every(shared.history, visit)
        before = [each for each in before if isinstance(each, str)] if isinstance(before, list) else []
        if len(before) >= FEWEST and known.keys() >= set(before):
            return shown(visit, before)
        listed = [entry for entry in known.values() if entry.listed]
        same = [entry.id for entry in listed if entry.clip == listed[-1].clip]
        return shown(visit, same[-FEWEST:] if len(same) >= FEWEST else [])

    outputs = [picker, chosen, note, player, box, remembered, *blind.offered]

    def picked(visit: str, evt: gr.EventData) -> dict:
        return shown(visit, ticked(evt._data))

    def opened(folder: Path) -> Callable[[str], dict]:
        def act(visit: str) -> dict:
            try:
                ids = ready.open_set(shared.history, visit, folder)
            except InputError as refusal:
                return {note: gr.update(value=status.error(str(refusal)), visible=True)}
            return shown(visit, ids)

        return act

    for button, folder in zip(buttons, sets, strict=True):
        button.click(opened(folder), shared.visit, outputs, **QUICK)
    picker.submit(picked, shared.visit, outputs, **QUICK)
    shared.runs.change(latest, [shared.visit, chosen, remembered], outputs, **QUICK)
    resume = compare_fresh.connect(shared, fresh, shown, outputs)
    gr.on(
        [blind.back.click, blind.done.click],
        lambda ids, visit: shown(visit, ids),
        [chosen, shared.visit],
        outputs,
        **QUICK,
    )

    def entered(event: gr.events.Dependency) -> None:
        resume(event.then(latest, [shared.visit, chosen, remembered], outputs, **QUICK))
        blind.resume(event)

    def sent(event: gr.events.Dependency) -> None:
        # Not `picked.change`: only queued events tell the browser that a state has changed.
        event.then(lambda ids, visit: shown(visit, ids), [shared.picked, shared.visit], outputs, **QUICK)

    return After(fresh.make, entered, sent)


def _button(folder: Path) -> gr.Button:
    words = f"Hear one clip by {len(ready.models_of(folder))} models"
    return gr.Button(words, elem_id=f"ready-{folder.name}", size="md", scale=0, min_width=260)


def listen(picked: Sequence[Entry]) -> dict:
    """The player's value: the entries in the chosen order, then the clip's own sound."""
    from stav2a.generation.figure import mel_of

    rate = soundfile.info(picked[0].audio).samplerate

    def sound(name: str, path: str, onsets_s: list[float] | None, note: str = "") -> Sound:
        waveform = _read(path, rate)
        return Sound(name, waveform, note, mel_of(waveform, rate), onsets_s)

    own = next((entry for entry in picked if entry.original), None)
    reference = own and sound("Original", own.original, own.original_onsets_s or [], "the clip’s own sound")
    names = differences([entry.settings for entry in picked])
    sounds = [sound(name, entry.audio, entry.onsets_s, entry.note) for name, entry in zip(names, picked, strict=True)]
    video = next((entry.video for entry in picked if entry.video), None)
    return player_value(sounds, rate, video, reference)


def _read(path: str, rate: int) -> np.ndarray:
    """float32 [S] at `rate`: results may have different rates."""
    waveform, own = soundfile.read(path, dtype="float32")
    if own == rate:
        return waveform
    import soxr

    return soxr.resample(waveform, own, rate)
