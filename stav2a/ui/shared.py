"""State shared by the tabs of the page. Every tab is built by `build(shared)` inside an open `gr.Blocks`.

`visit` holds the visitor's token and `runs` the visitor's finished runs (`list[Run]`, oldest first); both are
`gr.State`. A tab that makes a run appends to `runs`; a tab that shows runs listens to `runs.change`. A tab
that sends sounds to Compare puts their ids (see `entries.py`) into `picked` and selects Compare in `tabs`.
What the browser keeps (`gr.BrowserState`) stands outside the tabs: in a tab that is not open yet it is not read.
All work for the model is done by jobs in one queue (see `jobs.py`); the events that watch jobs are not queued.
Events of the page use `**WATCHING`, events that answer at once `**QUICK`, the endpoints `**PROGRAM`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from stav2a.listening.hub import Sync
from stav2a.media.limits import InputError, Limits
from stav2a.ui.history import History
from stav2a.ui.line.jobs import Jobs
from stav2a.ui.shares import Allowance

if TYPE_CHECKING:
    from stav2a.generation.engine import Engine
    from stav2a.ui.generate.form import Form

PROGRAM = {"concurrency_limit": None}
WATCHING = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
QUICK = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class Shared:
    engine: Engine
    history: History
    jobs: Jobs
    limits: Limits
    visit: gr.State
    runs: gr.State
    picked: gr.State
    compared: gr.BrowserState  # ids of the results that Compare shows, to show them again after a reload
    listener: gr.BrowserState  # who answers the blind tests
    tabs: gr.Tabs | None = None
    form: Form | None = None  # Generate's components: clip and caption are the same in all tabs
    listens: Allowance = field(default_factory=lambda: Allowance(60, 600))  # per visit: each writes sound files
    sync: Sync | None = None  # keeps a copy of the answers elsewhere
    ratings: Path | None = None  # SQLite file of the blind tests

    def need_model(self, name: str) -> str:
        """`name` if that model is installed; else `InputError`, without the command for administrators."""
        known = self.engine.models()
        if known.get(name) is not None:
            here = ", ".join(each for each, why in known.items() if why is None)
            raise InputError(f"The model {name} is not on this server; there are {here}.")
        return name
