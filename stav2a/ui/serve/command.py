"""`python -m stav2a serve`: serve the page, on this machine only or publicly."""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import ipaddress
import math
import os
import platform
from collections.abc import Callable
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware

from stav2a.listening.hub import Sync, sync_from_environment
from stav2a.listening.store import RatingError
from stav2a.media.limits import InputError, Limits
from stav2a.ui.compare.blind_tests import ratings_path
from stav2a.ui.generate import examples
from stav2a.ui.line.jobs import Jobs
from stav2a.ui.page import LIMITS, create_demo, zero_gpu
from stav2a.ui.serve import machine
from stav2a.ui.serve.gate import Gate
from stav2a.ui.theme import CSS, theme

STORAGE = Path(__file__).with_name("storage.html").read_text(encoding="utf-8")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="compact", help="model that is chosen at first (default: compact)")
    parser.add_argument("--host", default=None, help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=None, help="port to listen on (default: the first free from 7860)")
    parser.add_argument(
        "--root-path", default=None, metavar="PATH",
        help="path or address under which a proxy shows the page, such as /sound or https://example.org/sound",
    )  # fmt: skip
    parser.add_argument("--share", action="store_true", help="a public link through Gradio's relay")
    parser.add_argument(
        "--auth", type=Path, default=None, metavar="FILE",
        help="ask for a name and a password: one name:password a line",
    )  # fmt: skip
    parser.add_argument(
        "--results", type=Path, default=None, metavar="DIR",
        help="keep visitors' results there, over restarts (default: a temporary folder, removed at the end)",
    )  # fmt: skip
    parser.add_argument("--ratings", type=Path, default=None, help="SQLite file for the blind tests' answers")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")


def run(given: argparse.Namespace) -> int:
    from stav2a.generation.engine import Engine

    bounded_heap()
    machine.prepare()
    # A Space sets the variable to listen on all addresses; by default only this machine may connect.
    host = given.host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    auth = read_auth(given.auth) if given.auth else None
    engine = Engine(given.model)
    if zero_gpu():  # a shared GPU takes over models that are on the device at launch
        engine.warm().join()
    mine = is_loopback(host) and not given.share and not given.root_path
    jobs = Jobs(deadline_s=math.inf) if mine else Jobs()
    ratings = given.ratings or ratings_path()
    try:
        sync = sync_from_environment(ratings)
    except RatingError as error:
        raise InputError(f"The page cannot be served: {error}.") from error
    demo = create_demo(engine, root=given.results, ratings=ratings, jobs=jobs, sync=sync)
    options = {**launch_options(), "share": given.share, "auth": auth, "root_path": given.root_path}
    options |= {"server_name": host, "server_port": given.port, "inbrowser": given.open}
    served(demo, options, sync, then=engine.warm)
    return 0


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


def read_auth(path: Path) -> list[tuple[str, str]]:
    """Read names and passwords from a file; on the command line every user of the machine could see them."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"The file of passwords {path} cannot be read: {reason.lower()}.") from error
    pairs = [tuple(line.split(":", 1)) for line in lines if line.strip() and not line.startswith("#")]
    if not pairs or any(len(pair) < 2 or not all(pair) for pair in pairs):
        raise InputError(f"The file of passwords {path} needs lines of the form name:password.")
    return pairs


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
