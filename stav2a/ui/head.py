"""The head of the page: what it is, its links, notices in one line, and the model card at the foot."""

from __future__ import annotations

import os
import re
from html import escape
from pathlib import Path

import gradio as gr

from stav2a import systems
from stav2a.ui.widgets.widget import widget

STEM = Path(__file__).with_suffix("")
CARD = "model-card"
PAPER = "https://arxiv.org/abs/2409.08601"
AUTHORS = "https://github.com/y-ren16/STAV2A"
LICENCE = "https://www.apache.org/licenses/LICENSE-2.0"


def build(purpose: str, notices: list[str]) -> None:
    """The head. Phones show only the first notice, in one line."""
    space = os.environ.get("SPACE_ID")
    code = {"Code": f"https://huggingface.co/spaces/{space}/tree/main"} if space else {}
    links = {"Paper": PAPER, **code, "Authors’ code": AUTHORS, "Licence": LICENCE}
    shown = [f'<a href="{escape(url)}" target="_blank" rel="noopener">{name}</a>' for name, url in links.items()]
    if model_card():
        shown.insert(-1, f'<a href="#{CARD}">Model card</a>')
    spans = " ".join(f"<span>{escape(notice)}</span>" for notice in notices)
    banner = f'<p class="banner" role="note">{spans}</p>' if notices else ""
    template = (
        f'<header id="head"><h1>STA-V2A</h1><p>{escape(purpose)}</p><nav aria-label="About">{"".join(shown)}</nav>'
        f"</header>{banner}"
    )
    widget(STEM, template, elem_id="page-head")


def build_card() -> None:
    if text := model_card():
        with gr.Accordion("Model card of the built-in model", open=False, elem_id=CARD):
            gr.Markdown(text)


def model_card() -> str:
    """The card of the built-in model without its front matter and its links to files; empty if it is not installed."""
    file = systems.folder(systems.OWN) / "README.md"
    if not file.is_file():
        return ""
    text = re.sub(r"\A---\n.*?\n---\n", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", text).replace("\n# ", "\n## ", 1).strip()
