"""Limits on input, and the errors for input that is refused."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile


class InputError(ValueError):
    """Unusable input. The message is one plain sentence for the person who gave it."""


class Cancelled(Exception):
    """The user has stopped this work."""


def never() -> bool:
    """A `cancelled` callback for work that is never stopped."""
    return False


def stop_if(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise Cancelled


ADDRESS = re.compile(r"(https?|ftps?|sftp|s3|gs|hf|rtmps?|rtsp|file):/", re.IGNORECASE)
FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk's quota is used up", errno.EFBIG: "it is too large"}
CLOSED = {errno.EACCES: "it may not be written", errno.EPERM: "it may not be written", errno.EROFS: "it is read-only"}


def refuse_address(path: object) -> None:
    """Raise `InputError` if `path` is a URL: nothing is ever fetched."""
    if ADDRESS.match(str(path)):
        raise InputError("This is an address, and only files are read: download it first, then give the file.")


def disk_trouble(error: BaseException) -> str | None:
    """One sentence if the disk is full or not writable; None for any other error.

    safetensors, torch and soundfile raise their own errors, with the system's error as text at most.
    """
    if not isinstance(error, OSError):
        of_sound = type(error).__name__ == "LibsndfileError" and str(error) == "System error."
        if of_sound or "PytorchStreamWriter failed writing" in str(error):
            return "A file could not be written: the disk is full."
        number = re.search(r"\(os error (\d+)\)", str(error))
        return disk_trouble(OSError(int(number[1]), "")) if number else None
    where = f" {error.filename}" if error.filename else ""
    if said := FULL.get(error.errno or 0):
        return f"A file{where} could not be written: {said}."
    if said := CLOSED.get(error.errno or 0):
        return f"A file or folder{where} cannot be used: {said}."
    return None


def check_output(path: str | Path, named_by: str = "") -> None:
    """`InputError` if nothing can be written at `path`, a file or a folder that need not exist yet.

    named_by: the variable that names it, for the message.
    """
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    while not folder.exists():
        folder = folder.parent
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        where = f"{path}, which {named_by} names" if named_by else path
        raise InputError(f"Nothing can be written at {where}: {(error.strerror or 'error').lower()}.") from error


@dataclass(frozen=True)
class Limits:
    """Limits of a clip, checked on the decoded data and not only on the file's header."""

    file_mb: float = 1024.0
    duration_s: float = 300.0  # of the used part
    min_duration_s: float = 0.1
    pixels: int = 4096 * 2304  # per frame; 4K passes
    frames: int = 90_000  # stored frames in the used part: 300 s at 240 fps with some room
    stored: int = 600_000  # frames in the whole file: more than six hours at 25 fps
    timeout_s: float = 300.0  # for one pass of ffmpeg over the file

    def check_duration(self, duration_s: float) -> None:
        if duration_s > self.duration_s:
            raise InputError(
                f"The clip lasts {duration_s:.1f} s and at most {self.duration_s:g} s can be used at once; "
                "choose a start and a length."
            )
        if duration_s < self.min_duration_s:
            raise InputError(
                f"The clip lasts {duration_s:.2f} s; at least {self.min_duration_s:g} s of video is needed."
            )


DEFAULT_LIMITS = Limits()
