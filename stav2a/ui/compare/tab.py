"""The Compare tab: two to four results side by side on one transport, and the blind test of the same sounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import gradio as gr
import soundfile

from stav2a.media.limits import InputError
from stav2a.ui import status
from stav2a.ui.compare import blind_tab as compare_blind
from stav2a.ui.compare import entries
from stav2a.ui.compare import fresh as compare_fresh
from stav2a.ui.compare import results_tab as compare_results
from stav2a.ui.compare.entries import FEWEST, MOST, Entry, pick
from stav2a.ui.recipe import QUICK
from stav2a.ui.shared import Shared
from stav2a.ui.widgets.player import Player, Sound, player_value

HINT = "Choose two to four results of one clip. There are none yet? Make some under Generate, or a fresh set here."


class After(NamedTuple):
    """What to call with the event after which the visit is known, and with one that has put ids into `picked`; the
    button that may be pressed from then on."""

    make: gr.Button
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
            fresh = compare_fresh.build(shared, box)
    blind = compare_blind.build(shared, chosen, open_part, player)
    compare_results.build(shared, blind)
    remembered = gr.BrowserState([], storage_key="stav2a-compared")  # what is shown, for the page after a reload

    def choices(visit: str) -> list[tuple[str, str]]:
        listed = [entry for entry in entries.every(shared.history, visit).values() if entry.listed]
        return [(f"{entry.name} · {entry.note}", entry.id) for entry in reversed(listed)]

    def shown(visit: str, ids: Sequence[str], sentence: str = "") -> dict:
        """The page with these results in the player, or with a sentence that says why not."""
        ids = list(ids or [])
        update = {chosen: gr.update(choices=choices(visit), value=ids), remembered: ids, **blind.offer([])}
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
        """New results are offered. Where nothing is chosen, what was shown before a reload, as long as all of it is
        kept, else the newest two of one clip, are shown."""
        if ids:
            return {chosen: gr.update(choices=choices(visit))}
        known = entries.every(shared.history, visit)
        before = [each for each in before if isinstance(each, str)] if isinstance(before, list) else []
        if len(before) >= FEWEST and known.keys() >= set(before):
            return shown(visit, before)
        listed = [entry for entry in known.values() if entry.listed]
        same = [entry.id for entry in listed if entry.clip == listed[-1].clip]
        return shown(visit, same[-FEWEST:] if len(same) >= FEWEST else [])

    outputs = [chosen, note, player, box, remembered, *blind.offered]
    chosen.input(lambda ids, visit: shown(visit, ids), [chosen, shared.visit], outputs, **QUICK)
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
        # Not `picked.change`: the browser learns of changed states from queued events only.
        event.then(lambda ids, visit: shown(visit, ids), [shared.picked, shared.visit], outputs, **QUICK)

    return After(fresh.make, entered, sent)


def listen(picked: Sequence[Entry]) -> dict:
    """The player's value: the entries in the order chosen, the clip's own sound last."""
    from stav2a.generation.figure import mel_of

    def sound(name: str, path: str, onsets_s: list[float] | None, note: str = "") -> Sound:
        waveform, rate = soundfile.read(path, dtype="float32")
        return Sound(name, waveform, note, mel_of(waveform, rate), onsets_s)

    own = next((entry for entry in picked if entry.original), None)
    reference = own and sound("Original", own.original, own.original_onsets_s or [], "the clip’s own sound")
    rate = soundfile.info(picked[0].audio).samplerate
    sounds = [sound(entry.name, entry.audio, entry.onsets_s, entry.note) for entry in picked]
    video = next((entry.video for entry in picked if entry.video), None)
    return player_value(sounds, rate, video, reference)
