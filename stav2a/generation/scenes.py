"""Parts of a long clip: where scenes change, which caption holds when, and where one part follows another unheard."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from stav2a.media import ffmpeg
from stav2a.media.limits import InputError, Limits

CUT_THRESHOLD = 10  # of ffmpeg's scdet, percent
PART_S = 40.0  # most of a part; longer scenes are divided
LEAST_S = 1.0  # no shorter part, unless captions ask for it
SOFT_S = 2.0  # two parts of one scene are cross-faded over it
HARD_S = 0.1  # at a cut of the picture, or where the caption changes
CLOCK = r"(?:(\d+):)?(?:(\d+):)?(\d+(?:\.\d+)?)"
TIMED = re.compile(rf"\s*{CLOCK}\s*(?:s\s*)?[-–]\s*{CLOCK}\s*s?\s*:?\s+(\S.*?)\s*", re.DOTALL)


@dataclass(frozen=True)
class Span:
    """From `start_s` to `end_s`, `caption` is heard."""

    start_s: float
    end_s: float
    caption: str


@dataclass(frozen=True)
class Part(Span):
    """`fade_s`: how long it is cross-faded with the part before it."""

    fade_s: float = 0.0


def timed_captions(text: str) -> list[Span] | None:
    """The spans of "0-4 rain; 4-9 a door slams" (seconds, m:s or h:m:s), or None for an ordinary caption.

    `InputError` where spans overlap or end before they start.
    """
    pieces = [piece for piece in text.split(";") if piece.strip()]
    found = [TIMED.fullmatch(piece) for piece in pieces]
    if not found or not all(found):
        return None
    spans = [Span(_seconds(*match.groups()[:3]), _seconds(*match.groups()[3:6]), match[7]) for match in found if match]
    for span in spans:
        if span.end_s <= span.start_s:
            raise InputError(f"The caption {span.caption[:60]!r} ends at {span.end_s:g} s, before it starts.")
    spans.sort(key=lambda span: span.start_s)
    for before, after in pairwise(spans):
        if after.start_s < before.end_s:
            raise InputError(
                f"The captions {before.caption[:60]!r} and {after.caption[:60]!r} overlap at {after.start_s:g} s."
            )
    return spans


def _seconds(first: str | None, second: str | None, last: str) -> float:
    """Hours come first only where there are minutes as well."""
    hours, minutes = (first, second) if second is not None else (None, first)
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(last)


def scene_cuts(
    path: str | Path, start_s: float, length_s: float, limits: Limits, cancelled: Callable[[], bool] | None = None
) -> list[float]:
    """Times of hard cuts from `start_s` on, in seconds after it, as ffmpeg's scene detector finds them."""
    looked = f"scale=160:-2,scdet=threshold={CUT_THRESHOLD},metadata=mode=print:key=lavfi.scd.time:file=pipe\\\\:1"
    times: list[float] = []
    with ffmpeg.open_source(path, limits) as source:
        part = ["-ss", f"{start_s:.6f}", "-t", f"{length_s:.6f}"]
        arguments = ["-loglevel", "error", *part, *source.arguments(limits), "-map", "0:V:0", "-vf", looked]
        arguments += ["-an", "-f", "null", "-"]
        with ffmpeg.start(arguments, fds=source.fds, timeout_s=limits.timeout_s, cancelled=cancelled) as run:
            for line in run.lines():
                if match := re.search(rb"lavfi\.scd\.time=([\d.]+)", line):
                    times.append(float(match[1]))
            run.finish()
    return times


def plan(duration_s: float, captions: Sequence[Span], cuts: Sequence[float], caption: str = "") -> list[Part]:
    """Parts without gaps from 0 to `duration_s`: each caption its own, else `caption`; long ones divided at cuts."""
    borders = {0.0, duration_s}
    for span in captions:
        if span.start_s >= duration_s:
            raise InputError(f"The caption {span.caption[:60]!r} begins after the clip's end at {duration_s:.2f} s.")
        borders |= {span.start_s, min(span.end_s, duration_s)}
    parts: list[Part] = []
    for start, end in pairwise(sorted(borders)):
        said = next((span.caption for span in captions if span.start_s <= start < span.end_s), caption)
        parts += _divided(start, end, said, cuts)
    return parts


def _divided(start: float, end: float, caption: str, cuts: Sequence[float]) -> list[Part]:
    """Parts of at most `PART_S`: to the last cut that allows it, else to an even share of what is left."""
    parts, fade = [], HARD_S if start > 0 else 0.0
    while end - start > PART_S:
        fitting = [cut for cut in cuts if start + PART_S / 4 <= cut <= min(start + PART_S, end - LEAST_S)]
        count = -(-(end - start) // PART_S)
        stop = fitting[-1] if fitting else start + (end - start) / count
        parts.append(Part(start, stop, caption, fade))
        start, fade = stop, HARD_S if fitting else SOFT_S
    return [*parts, Part(start, end, caption, fade)]
