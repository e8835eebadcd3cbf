"""The page of a listening study: an introduction, the blind test, thanks at the end.

The page has no system's name before the last answer. A listener is a random id that the browser stores, so a
reloaded page continues with the current trial, even after a restart of the server.
"""

from __future__ import annotations

import gradio as gr
from starlette.middleware import Middleware

from stav2a.listening.collection import Collection
from stav2a.listening.design import Design
from stav2a.listening.hub import Sync
from stav2a.listening.store import RatingStore, public_id
from stav2a.media.limits import InputError
from stav2a.ui.compare.blind_tests import forgotten
from stav2a.ui.compare.results import results_html, reveal_html
from stav2a.ui.serve.gate import Gate
from stav2a.ui.theme import theme
from stav2a.ui.upload import Page
from stav2a.ui.widgets.blind import answer, blind_panel, message, screen

SECRET = "stav2a-rater"  # only encrypts a random id; fixed, so that the id survives a restart
KEEP_FILES_S = 86_400
QUICK = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
CSS = """
.gradio-container { width: 100% !important; max-width: 1280px !important; margin: 0 auto !important; }
#study-intro { max-width: 70ch; font-size: 16px; line-height: 1.6; }
#study-about { color: var(--body-text-color-subdued); font-size: 13.5px; }
@media (max-width: 640px) { .gradio-container { padding: 8px !important; } }
"""


def create_study(
    collection: Collection, store: RatingStore, design: Design, show_results: bool = False, sync: Sync | None = None
) -> gr.Blocks:
    trials = len(collection.plan(design))
    with Page(title="Listening test", delete_cache=(3600, KEEP_FILES_S), analytics_enabled=False) as demo:
        known = gr.BrowserState("", storage_key="stav2a-rater", secret=SECRET)
        with gr.Column(visible=False) as intro:
            gr.Markdown(_introduction(design, trials), elem_id="study-intro")
            begin = gr.Button("Begin", variant="primary", elem_id="study-begin")
        panel = blind_panel(elem_id="study-panel")
        results = gr.HTML(visible=False, elem_id="study-results", apply_default_css=False)
        with gr.Accordion("About your answers", open=False, elem_id="study-about"):
            about = gr.Markdown()
            with gr.Row():
                forget = gr.Button("Delete my answers", size="sm", elem_id="study-forget")
                really = gr.Button("Yes, delete them for good", size="sm", variant="stop", visible=False)

        def show(rater: str, session: str) -> dict:
            value = screen(store, collection, session)
            done = bool(value.get("finished"))
            html = ""
            if done and show_results:
                html = reveal_html(store, session) + results_html(store, collection.name)
            return {
                known: rater,
                intro: gr.update(visible=False),
                panel: value,
                results: gr.update(value=html, visible=bool(html)),
                about: _about(rater),
            }

        def enter(rater: object) -> dict:
            rater = rater if isinstance(rater, str) and store.has_rater(rater) else ""
            session = store.unfinished_session(rater, collection.name) if rater else None
            if session:
                return _guarded(lambda: show(rater, session))
            return {intro: gr.update(visible=True), about: _about(rater), known: rater}

        def start(rater: object) -> dict:
            own = rater if isinstance(rater, str) and store.has_rater(rater) else store.new_rater()
            session = store.unfinished_session(own, collection.name)
            session = session or store.start_session(own, collection.name, collection.plan(design))
            return _guarded(lambda: show(own, session))

        def submit(rater: str, evt: gr.EventData) -> dict:
            value, session = answer(store, collection, evt._data)
            if session is None:
                return {panel: gr.skip()}
            return show(rater, session) if value.get("finished") else {panel: value}

        def _guarded(act) -> dict:
            try:
                return act()
            except InputError as error:
                return {intro: gr.update(visible=False), panel: message(str(error))}

        def delete(rater: object) -> dict:
            sentence = forgotten(store, rater if isinstance(rater, str) else "", sync)
            return {
                known: "", panel: message(sentence), about: _about(""), forget: gr.update(visible=True),
                really: gr.update(visible=False), results: gr.update(visible=False),
                intro: gr.update(visible=False),
            }  # fmt: skip

        outputs = [known, intro, panel, results, about]
        demo.load(enter, known, outputs, **QUICK)
        begin.click(start, known, outputs, **QUICK)
        panel.submit(submit, known, outputs, **QUICK)
        forget.click(lambda: (gr.update(visible=False), gr.update(visible=True)), None, [forget, really], **QUICK)
        really.click(delete, known, [*outputs, forget, really], **QUICK)
    return demo


def launch_options() -> dict:
    return {
        "theme": theme(),
        "css": CSS,
        "show_error": False,
        "footer_links": [],
        "ssr_mode": False,
        "app_kwargs": {"middleware": [Middleware(Gate)]},
    }


def _introduction(design: Design, trials: int) -> str:
    task = {
        "rating": "In each trial you hear several sounds for one clip and rate each of them on four scales.",
        "mos": "In each trial you hear several sounds for one clip and rate each on four scales of five points.",
        "ab": "In each trial you hear two sounds for one clip and say which of them fits it better.",
        "abx": "In each trial you hear two sounds, A and B, and a third one, X, that equals one of them.",
    }[design.test]
    return (
        f"# Listening test\n\n{task} There are **{trials} trials**. Please use headphones in a quiet place and "
        "keep the volume as it is once you have begun. You can stop at any time and continue later in this browser."
    )


def _about(rater: str) -> str:
    kept = "Stored are the hash of a random id, your answers, how long each one took, and the day; nothing else."
    return f"{kept} Your answers are stored under: `{public_id(rater)}`" if rater else kept
