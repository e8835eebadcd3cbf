"""What runs keep for the next run of the same clip: its pictures, their features and motion, its own sound.

After an edit (another onset, caption or guidance) only the stages run that depend on it.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

Value = TypeVar("Value")
MOST_MB = 128.0  # 18 clips of ten seconds; their pictures are nearly all of it
HASHED_BYTES = 64 << 20  # of the largest file that is known by its bytes: 0.1 s
MOST_DIGESTS = 256
_DIGESTS: dict[tuple[int, ...], bytes] = {}  # by what the system says of a file
_DIGESTING = threading.Lock()


class Memory:
    """Values by key, up to `most_mb`; those unused for longest go first. Safe to use from many threads."""

    def __init__(self, most_mb: float = MOST_MB):
        self.most_mb = most_mb
        self._values: OrderedDict[Hashable, tuple[Any, float]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, default: Any = None) -> Any:
        with self._lock:
            if key not in self._values:
                return default
            self._values.move_to_end(key)
            return self._values[key][0]

    def keep(self, key: Hashable, value: Value) -> Value:
        """Keep `value`, which nobody may change from now on, and return it. One larger than the memory is not kept."""
        mb = size_mb(value)
        with self._lock:
            if mb <= self.most_mb:
                self._values[key] = value, mb
                self._values.move_to_end(key)
            while self.held_mb > self.most_mb:
                self._values.popitem(last=False)
        return value

    def once(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The kept value, else that of `make`. Nothing is kept if `make` raises."""
        found = self.get(key, self)
        return self.keep(key, make()) if found is self else found

    @property
    def held_mb(self) -> float:
        return sum(mb for _, mb in self._values.values())


def size_mb(value: Any) -> float:
    """MB of the arrays and tensors in a value, however deep they lie."""
    if hasattr(value, "nbytes"):
        return value.nbytes / 1e6
    if is_dataclass(value) and not isinstance(value, type):
        return sum(size_mb(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, Mapping):
        return size_mb(list(value.values()))
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return sum(map(size_mb, value))
    return 0.0


def identity_of(fd: int) -> Hashable:
    """Equal for equal open files, so that one uploaded again is the same clip: a digest of the bytes, read once.

    A file larger than HASHED_BYTES is known by what the system says of it, and so is one that changes meanwhile.
    """
    status = os.fstat(fd)
    stated = _stated(status)
    if status.st_size > HASHED_BYTES:
        return stated
    with _DIGESTING:
        known = _DIGESTS.get(stated)
    if known is None:
        digest = hashlib.blake2b(digest_size=16)
        with open(fd, "rb", closefd=False) as file:
            while block := file.read(1 << 20):
                digest.update(block)
            file.seek(0)
        if _stated(os.fstat(fd)) != stated:
            return stated
        known = digest.digest()
        with _DIGESTING:
            _DIGESTS[stated] = known
            while len(_DIGESTS) > MOST_DIGESTS:
                _DIGESTS.pop(next(iter(_DIGESTS)))
    return known


def _stated(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
