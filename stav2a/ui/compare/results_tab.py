"""Results of the blind tests of the Compare tab: the visitor's own answers and everyone's.

A listener's id gives access to their answers, so the page writes it only into their own file.
"""

from __future__ import annotations

import gradio as gr

from stav2a.listening.export import to_csv
from stav2a.ui.compare.blind_tab import Blind
from stav2a.ui.compare.blind_tests import STUDY
from stav2a.ui.compare.results import results_html, reveal_html
from stav2a.ui.line import status
from stav2a.ui.shared import QUICK, Shared
from stav2a.ui.widgets.player import public_folder


def build(shared: Shared, blind: Blind) -> None:
    tests, rater = blind.tests, blind.rater
    with gr.Accordion("Results of the blind tests", open=False, elem_id="listening-results") as box:
        whose = gr.Radio(["Mine", "Everyone’s"], value="Mine", label="Whose", elem_id="results-whose")
        reveal = gr.HTML("", elem_id="results-told", apply_default_css=False, padding=False)
        shown = gr.HTML("", elem_id="results-shown", apply_default_css=False, padding=False)
        with gr.Row():
            export = gr.DownloadButton(
                "Export my answers (CSV)", size="md", elem_id="results-export", min_width=150, interactive=False
            )
            forget = gr.Button("Delete my answers", size="md", elem_id="results-forget", min_width=150)
            really = gr.Button(
                "Yes, delete them for good", size="md", variant="stop", visible=False, elem_id="results-really",
                min_width=150,
            )  # fmt: skip
        line = gr.HTML("", elem_id="results-line", padding=False)
        gr.Markdown(
            "Stored: the hash of a random id, your answers, how long each took, the day. No captions or file names.",
            elem_classes="note",
        )

    def table(whose: str, known: str) -> tuple:
        """The results, and the visitor's own answers, if any, as a file."""
        mine = whose == "Mine"
        known = known if tests.path.exists() and tests.is_rater(known) else ""
        if mine and not known:
            return status.note("You have no answers yet."), no_file
        html = results_html(tests.store, STUDY, known if mine else None)
        return html, gr.update(value=save(known), interactive=True) if known else no_file

    def finished(session: str, known: str) -> tuple:
        """After the last answer: which system each number was, and its answer."""
        if not session:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        return gr.update(open=True), reveal_html(tests.store, session), *table("Mine", known)

    def save(known: str) -> str:
        path = public_folder() / "my_ratings.csv"
        path.write_text(to_csv(tests.store, STUDY, known), encoding="utf-8")
        return str(path)

    def delete(known: str, whose: str) -> tuple:
        said = status.note(tests.forget(known))
        return "", *table(whose, ""), said, gr.update(visible=True), gr.update(visible=False)

    no_file = gr.update(value=None, interactive=False)
    views = [shown, export]
    ask = lambda: (gr.update(visible=False), gr.update(visible=True))  # noqa: E731
    whose.change(table, [whose, rater], views, **QUICK)
    box.expand(table, [whose, rater], views, **QUICK)
    blind.answered.then(finished, [blind.last, rater], [box, reveal, *views], **QUICK)
    forget.click(ask, None, [forget, really], **QUICK)
    really.click(delete, [rater, whose], [rater, *views, line, forget, really], **QUICK)
