"""Limits for one visitor and for all together: requests, uploads, disk space."""

from __future__ import annotations

import ipaddress
import os
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from stav2a.media.limits import InputError

if TYPE_CHECKING:
    import gradio as gr

NO_ROOM = "The server has no space for more files at the moment; please try again later."
TOO_MANY = "Too many requests in a short time; please try again in a few minutes."
MEASURED_FOR_S = 5.0
REMEMBERED = 10_000  # senders


@dataclass
class Room:
    """A folder filled by visitors. `most_mb`: its largest size; `free_mb`: space that stays free on its disk."""

    folder: Path
    most_mb: float = 20_000.0
    free_mb: float = 500.0
    _used: float = 0.0
    _measured: float = -float("inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, more_mb: float = 0.0) -> None:
        """`InputError` if there is no room for `more_mb`."""
        disk = next(path for path in (self.folder, *self.folder.resolve().parents) if path.exists())
        free_mb = shutil.disk_usage(disk).free / 1e6
        with self._lock:
            if time.monotonic() - self._measured > MEASURED_FOR_S:
                self._used, self._measured = size_mb(self.folder), time.monotonic()
            self._used += more_mb  # until it is measured again
            if self._used > self.most_mb or free_mb - more_mb < self.free_mb:
                self._used -= more_mb
                raise InputError(NO_ROOM)


@cache
def room_of(folder: Path) -> Room:
    """The shared `Room` of a folder that several parts of the page fill."""
    return Room(folder)


def size_mb(folder: Path) -> float:
    """Total size of the files in the folder; files deleted meanwhile do not count."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total / 1e6


class Allowance:
    """Token-bucket rate limit per sender: `most` within `period_s`. Thread-safe."""

    def __init__(self, most: float, period_s: float):
        self.most, self.period_s = most, period_s
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def spend(self, sender: str | None) -> None:
        """`take`, or `InputError`."""
        if not self.take(sender):
            raise InputError(TOO_MANY)

    def take(self, sender: str | None, amount: float = 1.0) -> bool:
        """Spend `amount` if `sender` has that much left; returns whether it had. None is not limited."""
        if sender is None:
            return True
        now = time.monotonic()
        with self._lock:
            left, since = self._left.pop(sender, (self.most, now))
            left = min(self.most, left + (now - since) * self.most / self.period_s)
            enough = amount <= left
            self._left[sender] = (left - amount if enough else left, now)
            while len(self._left) > REMEMBERED:
                self._left.popitem(last=False)
            return enough


def sender(client: tuple | None, headers: Mapping[str, str]) -> str | None:
    """The public address of the sender of a request, or None if it comes from this network.

    A proxy in this network appends the address it sees to `X-Forwarded-For`: the last public one cannot be forged.
    """
    peer = client[0] if client else ""
    if _public(peer):
        return peer
    named = [each.strip() for each in headers.get("x-forwarded-for", "").split(",")]
    return next((each for each in reversed(named) if _public(each)), None)


def sender_of(request: gr.Request | None) -> str | None:
    """`sender` of a Gradio event."""
    peer = getattr(request, "client", None)
    return sender(peer and (peer.host,), dict(request.headers)) if peer else None


def _public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False
