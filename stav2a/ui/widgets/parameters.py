"""Dials as parameters of the API and of MCP tools, made from their declarations."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import gradio as gr

from stav2a.dials import Dial
from stav2a.generation.settings import DESCRIBERS
from stav2a.ui.generate.controls import declared
from stav2a.ui.jobs import explain

# what a stranger may choose where the command line takes any name
CLOSED = {"describe": DESCRIBERS}


def parameter(name: str, default: Any = None) -> gr.components.Component:
    """The input of an endpoint; null stands for what the declaration says None does."""
    dial = declared()[name]
    value = dial.default if default is None else default
    if dial.kind in ("times", "layout"):
        box = gr.JSON(None, label=name)
    elif dial.kind in ("number", "whole"):
        box = gr.Number(value, label=name)
    else:
        box = gr.Textbox(value, label=name)
    described = {**schema(name, dial), "description": text(name, dial)}
    box.api_info = lambda: described  # the component's own knows no integers, choices and lists
    return box


def schema(name: str, dial: Dial) -> dict:
    """JSON schema of a dial's values. Checking is left to `Settings`, which says in a sentence what it accepts."""
    numbers = {"type": "array", "items": {"type": "number"}}
    if dial.kind == "times":
        return numbers
    if dial.kind == "layout":
        return {"type": "array", "items": numbers}
    if choices := CLOSED.get(name) or tuple(dial.choices):
        return {"type": "string", "enum": list(choices)}
    return {"type": {"whole": "integer", "number": "number"}.get(dial.kind, "string")}


def offered() -> list[str]:
    """The dials of the API: all but files of this machine, and what is only written beside a clip."""
    return [name for name, dial in declared().items() if dial.kind not in ("file", "names")]


def text(name: str, dial: Dial) -> str:
    if name in CLOSED:
        return f"{dial.label}: {' or '.join(CLOSED[name])}."
    return dial.text()


def texts(names: Iterable[str]) -> dict[str, str]:
    known = declared()
    return {name: text(name, known[name]) for name in names}


def endpoint(
    work: Callable[[dict, gr.Request], Awaitable], about: str, arguments: dict[str, str], returns: str
) -> Callable[..., Awaitable]:
    """What the framework calls: `work` of the arguments by name and of the request.

    The framework describes an endpoint by names and docstring of its function. A failure becomes one sentence.
    """

    async def called(*given) -> Any:
        *values, request = given
        try:
            return await work(dict(zip(arguments, values, strict=True)), request)
        except Exception as error:
            raise gr.Error(explain(error), print_exception=False) from None

    called.__signature__ = inspect.Signature([*map(_argument, arguments), _argument("request", None)])
    called.__annotations__ = {"request": gr.Request}
    lines = "\n".join(f"    {name}: {what}" for name, what in arguments.items())
    called.__doc__ = f"{about}\n\nArgs:\n{lines}\n\nReturns:\n    {returns}\n"
    called.__name__ = work.__name__
    return called


def _argument(name: str, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    """Only by a default in the signature does the framework take null for a value that may be left out."""
    dial = declared().get(name)
    default = default if dial is None else dial.default
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)
