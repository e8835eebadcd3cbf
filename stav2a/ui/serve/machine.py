"""What the server needs from its machine: private folders, and a direct connection to itself."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from stav2a.media.limits import InputError, check_output

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def prepare() -> None:
    """Call before building the page: does what the two functions below do."""
    reach_itself()
    own_upload_folder()


def reach_itself() -> None:
    """Exempt loopback from `HTTP_PROXY` and similar: Gradio asks its own server whether it is up."""
    for name in ("NO_PROXY", "no_proxy"):
        known = [each.strip() for each in os.environ.get(name, "").split(",") if each.strip()]
        if "*" not in known:
            os.environ[name] = ",".join([*known, *(each for each in LOOPBACK if each not in known)])


def own_upload_folder() -> Path:
    """Keep uploads in a folder of this process, unless `GRADIO_TEMP_DIR` names one.

    Gradio's default is one folder for all users and servers of a machine, which may belong to another user.
    """
    if named := os.environ.get("GRADIO_TEMP_DIR"):
        check_output(named, "GRADIO_TEMP_DIR")
        Path(named).mkdir(parents=True, exist_ok=True)
        return Path(named)
    folder = temporary_folder("stav2a-uploads-")
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    return folder


def temporary_folder(prefix: str) -> Path:
    """A new private folder, removed when the process ends."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
    except OSError as error:
        reason = str(error.strerror or error).lower()
        raise InputError(
            f"No folder for temporary files can be made ({reason}); name one that can be written to in TMPDIR."
        ) from error
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
