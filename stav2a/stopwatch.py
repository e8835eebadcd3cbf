"""Seconds by stage, of the work itself: what happens while a generator is suspended does not count."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


class Stopwatch:
    """`seconds` by stage, added up over all calls."""

    def __init__(self):
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def each(self, name: str, items: Iterator[Item]) -> Iterator[Item]:
        """The items; the time that it takes to make them counts."""
        while True:
            with self.stage(name):
                item = next(items, None)
            if item is None:
                return
            yield item
