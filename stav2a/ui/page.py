"""The page: its tabs and its limits. `serve/` starts the server."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from stav2a.listening.hub import Sync
from stav2a.media.limits import Limits
from stav2a.ui import endpoints, head
from stav2a.ui.batch import tab as batch
from stav2a.ui.compare import endpoint as compare_endpoint
from stav2a.ui.compare import tab as compare
from stav2a.ui.compare.blind_tab import SECRET
from stav2a.ui.compare.blind_tests import ratings_path
from stav2a.ui.explore import tab as explore
from stav2a.ui.generate import tab as generate
from stav2a.ui.history import History
from stav2a.ui.line.jobs import Jobs
from stav2a.ui.serve.machine import temporary_folder
from stav2a.ui.shared import QUICK, WATCHING, Shared
from stav2a.ui.upload import Page

if TYPE_CHECKING:
    from stav2a.generation.engine import Engine

# Stricter than on the command line: many visitors share the machine of a public page.
LIMITS = Limits(file_mb=200.0, duration_s=60.0)
QUEUE_SIZE = 20
CPU_NOTICE = "On a CPU, ten seconds of video take a few seconds."
MODELS_LINE = "Built-in model: best at hits, no speech or music."
PURPOSE = "Makes sound for a silent video, in time with the picture. Every onset can be moved."


def create_demo(
    engine: Engine,
    limits: Limits = LIMITS,
    root: Path | None = None,
    ratings: Path | None = None,
    jobs: Jobs | None = None,
    sync: Sync | None = None,
) -> gr.Blocks:
    """Build the whole page for one engine. Results are stored under `root`, by default a new temporary folder.

    `ratings`: SQLite file of the blind tests, by default that in `STAV2A_RATINGS`. `jobs`: the job queue with its
    limits, by default those of a public page. `sync` keeps a copy of the answers elsewhere.
    """
    history = History(root or temporary_folder("stav2a-")).claim()
    with Page(title="STA-V2A: video to audio", delete_cache=(1800, 7200)) as demo:
        token = gr.BrowserState("", storage_key="stav2a-visit")
        # A session starts as a new visit. Only `enter` replaces it by the visit of the browser's token, not the load
        # event that Gradio attaches to a callable value.
        visit = gr.State(lambda: history.visit(None))
        visit.load_event_to_attach = None
        runs = gr.State([])
        compared = gr.BrowserState([], storage_key="stav2a-compared")
        listener = gr.BrowserState("", storage_key="stav2a-listener", secret=SECRET)
        shared = Shared(engine, history, jobs or Jobs(), limits, visit, runs, gr.State([]), compared, listener)
        head.build(PURPOSE, notices(engine))
        with gr.Tabs() as tabs:
            with gr.Tab("Generate", id="generate"):
                tab = generate.build(replace(shared, tabs=tabs))
            shared = replace(shared, tabs=tabs, form=tab.form, ratings=ratings or ratings_path(), sync=sync)
            with gr.Tab("Compare", id="compare"):
                after = compare.build(shared)
            with gr.Tab("Explore", id="explore"):
                grid = explore.build(shared)
            with gr.Tab("Batch", id="batch", visible=not zero_gpu()):  # a shared GPU is lent for minutes, not hours
                many = batch.build(shared)
        after.sent(grid.sent)
        after.sent(tab.sent)
        endpoints.build(shared)
        compare_endpoint.build(shared)

        def enter(known: str, request: gr.Request) -> dict:
            """Identify the visitor. Runs can start only after that, because they are stored under the visit."""
            shared.jobs.opened(request.session_hash or "")
            own, awake = history.visit(known), gr.update(interactive=True)
            return {token: own, visit: own, **dict.fromkeys(buttons, awake)}

        def leave(request: gr.Request) -> None:
            shared.jobs.closed(request.session_hash or "")

        demo.unload(leave)
        buttons = [tab.form.generate, tab.form.find, after.make, grid.fill, many.start]
        outputs = [token, visit, *buttons]
        entered = demo.load(enter, token, outputs, **QUICK)
        form = tab.form.inputs(tab.form.info)
        filled = entered.then(tab.runs.refill, visit, form, **QUICK)
        filled.then(tab.runs.restore, visit, tab.runs.views, **WATCHING)
        after.entered(filled)
        grid.entered(filled)
        many.entered(filled)
    demo.stav2a = shared
    return demo.queue(max_size=QUEUE_SIZE, default_concurrency_limit=1)


def notices(engine: Engine) -> list[str]:
    """Warnings at the top of the page: a missing model, a slow machine."""
    sentences = []
    if (missing := engine.models()[engine.default_model]) is not None:
        sentences.append(f"{missing} Choose another model under “Model, sampling and seed”.")
    if engine.default_model == "compact":
        sentences.append(MODELS_LINE)
    if not likely_accelerated():
        sentences.append(CPU_NOTICE)
    return sentences


def likely_accelerated() -> bool:
    """Whether there seems to be an accelerator. Asking torch would slow every start by seconds."""
    apple = (platform.system(), platform.machine()) == ("Darwin", "arm64")
    return apple or zero_gpu() or shutil.which("nvidia-smi") is not None


def zero_gpu() -> bool:
    return bool(os.environ.get("SPACES_ZERO_GPU"))
