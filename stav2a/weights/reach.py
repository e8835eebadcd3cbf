"""Check within seconds whether a server can be reached; hub clients would retry for minutes."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import urlsplit

LIMIT_S = 8.0  # for a name, a proxy, a connection and an answer together
SERVER_ERROR = 500


@cache
def reachable(address: str) -> bool:
    """Whether a server answers at `address` at all; asked once a process. Proxies are those of the environment."""
    answered: list[bool] = []

    def ask() -> None:
        try:
            request = urllib.request.Request(address, method="HEAD")
            with urllib.request.urlopen(request, timeout=LIMIT_S / 2):
                answered.append(True)
        except urllib.error.HTTPError as error:  # an answer, though not the page
            answered.append(error.code < SERVER_ERROR)
        except (OSError, ValueError):
            answered.append(False)

    # the timeout above does not cover a silent name server
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(LIMIT_S)
    return bool(answered) and answered[0]


def hub_reachable() -> bool:
    """Whether Hugging Face's hub (HF_ENDPOINT) may be asked (HF_HUB_OFFLINE) and answers."""
    from huggingface_hub import constants

    return not constants.HF_HUB_OFFLINE and reachable(constants.ENDPOINT)


def hub_name() -> str:
    """The hub's server for a sentence: huggingface.co."""
    from huggingface_hub import constants

    return urlsplit(constants.ENDPOINT).netloc


def load_from_hub(load: Callable, name: str, **options: Any) -> Any:
    """`load(name, ...)` of transformers: from the disk where it lies there, else from the hub if that answers.

    Raises OSError at once where neither is so.
    """
    try:
        return load(name, local_files_only=True, **options)
    except (OSError, ValueError):
        if not hub_reachable():
            raise OSError(f"{name} is not on this machine and {hub_name()} is out of reach.") from None
    return load(name, **options)
