"""Errors about weights: one sentence that names the part, the keys or file, and what to do."""

from __future__ import annotations

from collections.abc import Iterable

from stav2a.media.limits import InputError


class WeightsError(InputError):
    """Weights that are not available or do not fit. The message is one plain sentence."""


def listed(names: Iterable[str], limit: int = 3) -> str:
    """`a, b, c and 7 more`."""
    names = sorted(names)
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")
