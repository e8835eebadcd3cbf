"""What the tabs of the page have in common. Every tab is `build(shared)` inside an open `gr.Blocks`.

`visit` holds the visitor's token and `runs` their finished runs (`list[Run]`, oldest first); both are
`gr.State`. A tab that makes a run appends to `runs`; a tab that shows runs listens to `runs.change`.
Events that use the model are given `**MODEL`, so that one runs at a time over all tabs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr

from stav2a.media.limits import Limits
from stav2a.ui.history import History
from stav2a.ui.jobs import Jobs

if TYPE_CHECKING:
    from stav2a.engine import Engine

MODEL = {"concurrency_id": "model", "concurrency_limit": 1}


@dataclass(frozen=True)
class Shared:
    engine: Engine
    history: History
    jobs: Jobs
    limits: Limits
    visit: gr.State
    runs: gr.State
