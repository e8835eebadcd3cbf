"""The page: its tabs, its limits and how it is served."""

from __future__ import annotations

import argparse
import atexit
import ctypes
import importlib.util
import os
import platform
import shutil
import tempfile
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from stav2a.listening.hub import sync_from_environment
from stav2a.media.limits import Limits
from stav2a.ui import endpoints
from stav2a.ui.compare import endpoint as compare_endpoint
from stav2a.ui.compare import tab as compare
from stav2a.ui.compare.blind_tests import ratings_path
from stav2a.ui.explore import tab as explore
from stav2a.ui.generate import examples
from stav2a.ui.generate import tab as generate
from stav2a.ui.history import History
from stav2a.ui.jobs import Jobs
from stav2a.ui.shared import WATCHING, Shared
from stav2a.ui.theme import CSS, theme

if TYPE_CHECKING:
    from stav2a.generation.engine import Engine

# Smaller than on the command line: a public page shares one machine between strangers.
LIMITS = Limits(file_mb=200.0, duration_s=60.0)
QUEUE_SIZE = 20
CPU_NOTICE = (
    "Running on a CPU: ten seconds of video take a few seconds with the built-in model, with larger ones far longer."
)
HEAD = """
<div id="head"><h1>STA-V2A</h1>
<p>Sound for a silent clip: what is seen, when it is seen. Every onset can be moved.</p></div>
"""


def create_demo(
    engine: Engine, limits: Limits = LIMITS, root: Path | None = None, ratings: Path | None = None
) -> gr.Blocks:
    """The whole page over one engine. Results live under `root`, a fresh temporary folder by default.

    `ratings` is the SQLite file of the blind tests, by default what `STAV2A_RATINGS` names.
    """
    history = History(root or _temporary_folder())
    with gr.Blocks(title="STA-V2A: video to audio", delete_cache=(1800, 7200)) as demo:
        token = gr.BrowserState("", storage_key="stav2a-visit")
        visit = gr.State("")
        runs = gr.State([])
        shared = Shared(engine, history, Jobs(), limits, visit, runs, gr.State([]))
        gr.HTML(HEAD, padding=False)
        for sentence in notices(engine):
            gr.HTML(f'<p class="banner" role="note">{escape(sentence)}</p>', padding=False)
        with gr.Tabs() as tabs:
            with gr.Tab("Generate", id="generate"):
                tab = generate.build(shared)
            shared = replace(shared, tabs=tabs, form=tab, ratings=ratings or ratings_path())
            with gr.Tab("Compare", id="compare"):
                after = compare.build(shared)
            with gr.Tab("Explore", id="explore"):
                grid = explore.build(shared)
        after.sent(grid.sent)
        endpoints.build(shared)
        compare_endpoint.build(shared)

        def enter(known: str) -> dict:
            """Know the visitor; only then may runs begin, which are kept under that name."""
            own, awake = history.visit(known), gr.update(interactive=True)
            return {token: own, visit: own, **dict.fromkeys(buttons, awake)}

        buttons = [tab.generate, tab.find, after.make, grid.fill]
        outputs = [token, visit, *buttons]
        entered = demo.load(enter, token, outputs, queue=False, api_visibility="private", show_progress="hidden")
        form = [tab.source, tab.info, *tab.fields.values()]
        filled = entered.then(tab.refill, visit, form, queue=False, api_visibility="private", show_progress="hidden")
        filled.then(tab.restore, visit, tab.shown, **WATCHING)
        after.entered(filled)
        grid.entered(filled)
    demo.stav2a = shared
    return demo.queue(max_size=QUEUE_SIZE, default_concurrency_limit=1)


def _temporary_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="stav2a-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def launch_options(limits: Limits = LIMITS) -> dict:
    """What `launch` is given wherever the page is served, tests included."""
    return {
        "theme": theme(),
        "css": CSS,
        "share": False,
        "max_file_size": f"{limits.file_mb:g}mb",
        "allowed_paths": [str(examples.FOLDER)],
        "show_error": False,
        "footer_links": ["api"],
        "mcp_server": importlib.util.find_spec("mcp") is not None,
        "ssr_mode": False,
    }


def notices(engine: Engine) -> list[str]:
    """What a visitor should know before anything else: a missing model, a slow machine."""
    sentences = []
    if (missing := engine.models()[engine.default_model]) is not None:
        sentences.append(f"{missing} Choose another model under “Model, sampling and seed”.")
    if not likely_accelerated():
        sentences.append(CPU_NOTICE)
    return sentences


def likely_accelerated() -> bool:
    """Whether there seems to be an accelerator. Asking torch would add seconds to every start."""
    apple = (platform.system(), platform.machine()) == ("Darwin", "arm64")
    return apple or zero_gpu() or shutil.which("nvidia-smi") is not None


def zero_gpu() -> bool:
    return bool(os.environ.get("SPACES_ZERO_GPU"))


def bounded_heap() -> bool:
    """Keep the C library to two heaps, as far as it is glibc; whether that was done.

    Every job works in a thread of its own. By default threads get heaps of their own, up to eight a core, and each
    keeps what it has once held: a hundred runs added 120 MB that nothing used.
    """
    arena_max = -8  # M_ARENA_MAX in malloc.h
    return platform.libc_ver()[0] == "glibc" and ctypes.CDLL(None).mallopt(arena_max, 2) == 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="compact", help="model that is chosen at first (default: compact)")
    parser.add_argument("--host", default=None, help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=None, help="port to listen on (default: the first free from 7860)")
    parser.add_argument(
        "--results", type=Path, default=None, metavar="DIR",
        help="keep visitors' results there, over restarts (default: a temporary folder, removed at the end)",
    )  # fmt: skip
    parser.add_argument("--ratings", type=Path, default=None, help="SQLite file for the blind tests' answers")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")


def run(given: argparse.Namespace) -> int:
    from stav2a.generation.engine import Engine

    bounded_heap()
    # A Space asks for all addresses through the variable; everywhere else only this machine may connect.
    host = given.host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    engine = Engine(given.model)
    if zero_gpu():  # a shared GPU takes over what is on the device by the time of the launch
        engine.warm().join()
    demo = create_demo(engine, root=given.results, ratings=given.ratings)
    sync_from_environment(demo.stav2a.ratings)
    options = launch_options()
    demo.launch(server_name=host, server_port=given.port, inbrowser=given.open, prevent_thread_lock=True, **options)
    engine.warm()
    demo.block_thread()
    return 0
