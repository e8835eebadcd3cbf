"""Blind listening in the Compare tab: choose a test, answer it, see the systems' names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gradio as gr

from stav2a.listening.design import LOW_PASS, SHIFTED, Design
from stav2a.media.limits import InputError
from stav2a.ui.compare.blind_tests import BlindTests
from stav2a.ui.compare.entries import Entry, every, pick
from stav2a.ui.line import status
from stav2a.ui.shared import QUICK, Shared
from stav2a.ui.widgets.blind import answer, blind_panel, message, screen

SECRET = "stav2a-listener"  # only encrypts a random id; fixed, so that the id survives a restart
TESTS = [
    ("Rate each sound on four scales", "rating"),
    ("AB: which fits better", "ab"),
    ("ABX: can they be told apart", "abx"),
]
ANCHORS = [("3.5 kHz low-pass", LOW_PASS), ("shifted in time", SHIFTED)]


@dataclass
class Blind:
    """The components that other parts of the tab use, and two of their functions."""

    tests: BlindTests
    rater: gr.BrowserState
    box: gr.Accordion
    with_original: gr.Column
    without_original: gr.HTML
    back: gr.Button
    done: gr.Button
    panel: gr.HTML
    last: gr.State  # the session whose last answer was just given, else ""
    answered: gr.events.Dependency | None = None
    resume: Callable[[gr.events.Dependency], None] | None = None

    @property
    def offered(self) -> list:
        return [self.box, self.with_original, self.without_original]

    def offer(self, picked: Sequence[Entry]) -> dict:
        """Updates: show the test if sounds are picked, and the options for an original if there is one."""
        original = any(entry.original for entry in picked)
        return {
            self.box: gr.update(visible=bool(picked)),
            self.with_original: gr.update(visible=original),
            self.without_original: gr.update(visible=not original),
        }


def build(shared: Shared, chosen: gr.State, open_part: gr.Column, player: gr.HTML) -> Blind:
    tests = BlindTests(shared.history, shared.ratings, shared.sync)
    rater = shared.listener
    with gr.Row(visible=False, elem_id="blind-waiting", equal_height=True) as waiting:
        gr.HTML(status.note("You have an unfinished blind test."), padding=False)
        go_on = gr.Button("Continue it", elem_id="blind-resume", scale=0, min_width=150)
    with gr.Accordion("Listen blind", open=False, visible=False, elem_id="blind-options") as box:
        test = gr.Radio(TESTS, value="rating", label="Test", elem_id="blind-test")
        with gr.Column(visible=False) as with_original:
            hidden = gr.Checkbox(True, label="Hide the original among the sounds", elem_id="blind-hidden")
            shown = gr.Checkbox(False, label="Also play the original as a named reference", elem_id="blind-open")
            anchors = gr.CheckboxGroup(
                ANCHORS, value=[], label="Add degraded sounds", elem_id="blind-anchors",
                info="Clearly worse versions of the original. They mark the low end of the scale.",
            )  # fmt: skip
        without = gr.HTML(status.note("The clip has no sound of its own, so no original can be added."))
        again = gr.Checkbox(
            False, label="Ask everything twice, in another order", elem_id="blind-again",
            info="Shows how consistent your ratings are.",
        )  # fmt: skip
        times = gr.Slider(
            1, 16, value=4, step=1, label="Trials for each pair", visible=False, elem_id="blind-times",
            info="In ABX, 10 right answers of 12 are hardly luck (p = 0.02), 3 of 4 may be (p = 0.31).",
        )  # fmt: skip
        begin_button = gr.Button("Begin", variant="primary", elem_id="blind-begin")
        line = gr.HTML("", elem_id="blind-line", padding=False)
    with gr.Column(visible=False, elem_id="blind-stage") as stage:
        panel = blind_panel(elem_id="blind-panel")
        with gr.Row():
            back = gr.Button("Stop the test", size="md", elem_id="blind-stop", scale=0, min_width=120)
            done = gr.Button(
                "Back to the named sounds",
                variant="primary",
                visible=False,
                elem_id="blind-done",
                scale=0,
                min_width=200,
            )
    last = gr.State("")
    blind = Blind(tests, rater, box, with_original, without, back, done, panel, last)
    views = [open_part, box, stage, waiting, panel, back, done, line, last]

    def staged(value: dict) -> dict:
        """Show only the test: nothing with a name stays on the page."""
        ended = bool(value.get("finished") or value.get("message"))
        return {
            open_part: gr.update(visible=False), box: gr.update(visible=False), stage: gr.update(visible=True),
            waiting: gr.update(visible=False), panel: value, back: gr.update(visible=not ended),
            done: gr.update(visible=ended), line: "", last: value["session"] if value.get("finished") else "",
        }  # fmt: skip

    def begin(ids, visit, known, kind, hidden, shown, anchors, again, times) -> dict:
        try:
            picked = pick(every(shared.history, visit), list(ids or []))
            shared.listens.spend(visit)
            design = Design(kind, hidden, shown, tuple(anchors), float(again), int(times))
            own = tests.rater(known)
            session = tests.begin(visit, own, picked, design)
            value = screen(tests.store, tests.collection(visit, session), session)
        except ValueError as refusal:  # InputError and RatingError are ValueErrors with a message for users
            return {line: status.error(str(refusal))}
        return {**staged(value), rater: own, player: None}

    def take_up(visit: str, known: str) -> dict:
        session = tests.unfinished(visit, known)
        if session is None:
            return {**staged(message("There is no unfinished test.")), player: None}
        try:
            shared.listens.spend(visit)
            value = screen(tests.store, tests.collection(visit, session), session)
        except InputError as refusal:
            value = message(str(refusal))
        return {**staged(value), player: None}

    def submit(visit: str, evt: gr.EventData) -> dict:
        given = evt._data if isinstance(evt._data, dict) else {}
        try:
            collection = tests.collection(visit, str(given.get("session")))
        except InputError as refusal:
            return staged(message(str(refusal)))
        value, session = answer(tests.store, collection, given)
        return {panel: gr.skip()} if session is None else staged(value)

    def leave(visit: str, known: str) -> dict:
        return {
            open_part: gr.update(visible=True), stage: gr.update(visible=False), panel: None,
            waiting: gr.update(visible=tests.unfinished(visit, known) is not None),
        }  # fmt: skip

    def offer(visit: str, known: str) -> dict:
        return gr.update(visible=tests.unfinished(visit, known) is not None)

    inputs = [chosen, shared.visit, rater, test, hidden, shown, anchors, again, times]
    own = [shared.visit, rater]
    test.change(
        lambda kind: (gr.update(visible=kind == "rating"), gr.update(visible=kind == "rating"),
                      gr.update(visible=kind != "rating")),
        test, [again, anchors, times], **QUICK,
    )  # fmt: skip
    begin_button.click(begin, inputs, [*views, rater, player], **QUICK)
    go_on.click(take_up, own, [*views, player], **QUICK)
    blind.answered = panel.submit(submit, shared.visit, views, **QUICK)
    gr.on([back.click, done.click], leave, own, views, **QUICK)
    blind.resume = lambda entered: entered.then(offer, own, waiting, **QUICK)
    return blind
