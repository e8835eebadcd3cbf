"""Dials as parameters of the API and of MCP tools, made from their declarations."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import gradio as gr

from stav2a.dials import Dial
from stav2a.generation.settings import DESCRIBERS
from stav2a.media.limits import Limits
from stav2a.ui.generate.controls import declared
from stav2a.ui.line.jobs import explain
from stav2a.ui.upload import Sound, Video

CLIP = "The clip, an uploaded file."
SAMPLES = {  # examples of valid values, where the default is None
    "prompt": "a hammer strikes metal", "negative_prompt": "speech", "guidance_scale": 4.0, "steps": 6,
    "sampler": "dpm++2m", "seed": 7, "onsets_s": [0.5, 1.2], "length_s": 4.0,
}  # fmt: skip


class Parameters:
    """The dials of the endpoints of one page.

    models: the names that may be chosen; limits: what the page takes of a clip
    """

    def __init__(self, models: Iterable[str], default_model: str, limits: Limits):
        self.models, self.default_model, self.limits = tuple(models), default_model, limits

    def offered(self) -> list[str]:
        """The dials of the API: all except those for extra output files."""
        return [name for name, dial in declared().items() if dial.kind != "names"]

    def dial(self, name: str) -> Dial:
        """The declaration with this page's limits: fewer models and describers, and shorter parts."""
        dial = declared()[name]
        if name == "model":
            about = "Which model makes the sound."
            return replace(dial, help=about, default=self.default_model, choices={each: each for each in self.models})
        if name == "describe":
            about = "Who captions a clip without a caption."
            return replace(dial, help=about, choices={each: each for each in DESCRIBERS})
        if name == "length_s":
            return replace(dial, high=self.limits.duration_s)
        return dial

    def text(self, name: str) -> str:
        return self.dial(name).text()

    def texts(self, names: Iterable[str]) -> dict[str, str]:
        return {name: self.text(name) for name in names}

    def box(self, name: str) -> gr.components.Component:
        """The input component of an endpoint; null means what None means in the declaration."""
        dial = self.dial(name)
        if dial.kind == "file":
            return file_box(Sound(label=name, type="filepath"), self.text(name), "hammer.wav")
        if dial.kind in ("times", "layout"):
            box = gr.JSON(None, label=name)
        elif dial.kind in ("number", "whole"):
            box = gr.Number(dial.default, label=name)
        else:
            box = gr.Textbox(dial.default, label=name)
        return described(box, schema(dial), self.text(name), SAMPLES.get(name, dial.default))


def schema(dial: Dial) -> dict:
    """JSON schema of a dial's values. `Settings` does the checking, with clear messages."""
    numbers = {"type": "array", "items": {"type": "number"}}
    if dial.kind == "times":
        return numbers
    if dial.kind == "layout":
        return {"type": "array", "items": numbers}
    kind = {"type": {"whole": "integer", "number": "number"}.get(dial.kind, "string")}
    return {**kind, "enum": list(dial.choices)} if dial.choices else kind


def described(box: gr.components.Component, schema: dict, text: str, sample: Any) -> gr.components.Component:
    """The component with this API description: its own lacks integers, choices and lists."""
    info = {**schema, "description": text}
    box.api_info = lambda: info
    box.example_payload = box.example_value = lambda: sample
    return box


def file_box(box: Video | Sound, text: str, name: str) -> Video | Sound:
    """An uploaded file. The component's own example is a URL, but URLs are never fetched here."""
    info = {**box.api_info(), "description": text}
    sample = {"path": name, "meta": {"_type": "gradio.FileData"}, "orig_name": name}
    return described(box, info, text, sample)


def endpoint(
    work: Callable[[dict, gr.Request], Awaitable],
    about: str,
    arguments: dict[str, str],
    returns: str,
    defaults: Mapping[str, Any] | None = None,
) -> Callable[..., Awaitable]:
    """The function for Gradio: calls `work` with the arguments by name and the request.

    Gradio describes an endpoint by the signature and docstring of its function. A failure becomes one sentence.
    defaults: of optional arguments, in place of those of their declarations
    """

    async def called(*given) -> Any:
        *values, request = given
        try:
            return await work(dict(zip(arguments, values, strict=True)), request)
        except Exception as error:
            raise gr.Error(explain(error), print_exception=False) from None

    known = {**{name: dial.default for name, dial in declared().items()}, **(defaults or {}), "request": None}
    called.__signature__ = inspect.Signature([_argument(name, known) for name in (*arguments, "request")])
    called.__annotations__ = {"request": gr.Request}
    lines = "\n".join(f"    {name}: {what}" for name, what in arguments.items())
    called.__doc__ = f"{about}\n\nArgs:\n{lines}\n\nReturns:\n    {returns}\n"
    called.__name__ = work.__name__
    return called


def _argument(name: str, defaults: Mapping[str, Any]) -> inspect.Parameter:
    """Gradio accepts null for an optional value only if the signature has a default."""
    default = defaults.get(name, inspect.Parameter.empty)
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)
