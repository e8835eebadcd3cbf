"""Components of this page: a `gr.HTML` with a template, a style and a script from files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gradio as gr

ELEMENTS = Path(__file__).with_name("elements.js")


def widget(stem: Path, template: str = "", before: Iterable[Path] = (), value: Any = None, **kwargs) -> gr.HTML:
    """A component whose script `stem`.js shows its value, see `elements.js`.

    stem: path without suffix of its .js and, if they exist, its .css and .html files; `template` replaces the .html
    before: scripts and styles that it builds on

    A function and not a subclass: Gradio writes a stub file beside the source of every subclass.
    """
    own = [stem.with_suffix(".js"), *(path for path in map(stem.with_suffix, (".css", ".html")) if path.is_file())]
    parts = [ELEMENTS, *before, *own]

    def text(suffix: str) -> str:
        return "\n".join(path.read_text(encoding="utf-8") for path in parts if path.suffix == suffix)

    return gr.HTML(
        value=value,
        html_template=template or text(".html"),
        css_template=text(".css"),
        js_on_load=text(".js"),
        apply_default_css=False,
        **kwargs,
    )
