"""`python -m stav2a serve`: serve the page, on this machine only or publicly."""

from __future__ import annotations

import argparse
import ipaddress
import math
import os
from pathlib import Path

from stav2a.listening.hub import sync_from_environment
from stav2a.listening.store import RatingError
from stav2a.media.limits import InputError
from stav2a.ui.compare.blind_tests import ratings_path
from stav2a.ui.line.jobs import Jobs
from stav2a.ui.page import create_demo, zero_gpu
from stav2a.ui.serve import machine
from stav2a.ui.serve.launch import bounded_heap, launch_options, served


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
