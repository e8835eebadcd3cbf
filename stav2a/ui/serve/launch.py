"""Starts the server of a page: options of the launch, and why it cannot be served."""

from __future__ import annotations

import ctypes
import importlib.util
import platform
from collections.abc import Callable
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware

from stav2a.listening.hub import Sync
from stav2a.media.limits import InputError, Limits
from stav2a.ui.generate import examples
from stav2a.ui.page import LIMITS
from stav2a.ui.serve.gate import Gate
from stav2a.ui.theme import CSS, theme

STORAGE = Path(__file__).with_name("storage.html").read_text(encoding="utf-8")


def served(demo: gr.Blocks, options: dict, sync: Sync | None, then: Callable[[], object] = lambda: None) -> None:
    """Serve until the process is stopped; `then` is called once the page answers. Ratings are synced at the end."""
    try:
        demo.launch(prevent_thread_lock=True, **options)
        then()
        demo.block_thread()
    except OSError as error:
        raise InputError(not_served(error, options["server_name"], options["server_port"])) from error
    finally:
        if sync is not None:
            sync.stop()


def launch_options(limits: Limits = LIMITS) -> dict:
    """Arguments of `launch` wherever the page is served, including tests."""
    return {
        "theme": theme(),
        "css": CSS,
        "head": STORAGE,
        "share": False,
        "max_file_size": f"{limits.file_mb:g}mb",
        "allowed_paths": [str(examples.FOLDER)],
        "show_error": False,
        "footer_links": ["api"],
        "mcp_server": importlib.util.find_spec("mcp") is not None,
        "ssr_mode": False,
        "app_kwargs": {"middleware": [Middleware(Gate)]},
    }


def not_served(error: OSError, host: str, port: int | None) -> str:
    """One sentence on why the page cannot be served."""
    if "empty port" in str(error):
        taken = "every port from 7860 to 7959" if port is None else f"port {port}"
        return f"The page cannot be served on {host}: {taken} is taken or may not be used; choose another with --port."
    return f"The page cannot be served on {host}: {str(error.strerror or error).lower()}."


def bounded_heap() -> bool:
    """Limit glibc's malloc to two arenas; returns whether that was possible.

    Every job runs in its own thread. By default threads get arenas of their own, up to eight per core, and an arena
    does not give memory back: a hundred runs added 120 MB of unused memory.
    """
    arena_max = -8  # M_ARENA_MAX in malloc.h
    return platform.libc_ver()[0] == "glibc" and ctypes.CDLL(None).mallopt(arena_max, 2) == 1
