"""A request on its way through the pipeline, for tests of what is denoised."""

from __future__ import annotations

from stav2a.denoise.request import Prepared, Request
from stav2a.dials import Dials


def prepared(pipe, frames, prompt="", negative_prompt="", defaults: dict | None = None, **dials) -> Prepared:
    work = pipe.prepare([Request(frames, Dials(prompt, negative_prompt, **dials), defaults or {})])
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value[0]
