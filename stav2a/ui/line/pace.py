"""Estimate the time left of a run from the shares of its stages in finished runs."""

from __future__ import annotations

from collections.abc import Mapping

from stav2a.output import Progress

UNTIMED = ("load", "wait")  # their time varies and does not predict the rest
# Shares of a run's time until a run of the model has finished: for the built-in model, and for larger ones.
COMPACT = {"read": 0.08, "video": 0.14, "text": 0.02, "denoise": 0.3, "decode": 0.12, "mux": 0.04, "measure": 0.16,
           "figure": 0.06, "bundle": 0.02, "record": 0.06}  # fmt: skip
LARGE = {"read": 0.01, "video": 0.03, "text": 0.02, "denoise": 0.76, "decode": 0.08, "mux": 0.01, "measure": 0.03,
         "figure": 0.02, "bundle": 0.01, "record": 0.03}  # fmt: skip


class Pace:
    """Shares of the stages by model; shared by all visitors, because they use the same machine."""

    def __init__(self) -> None:
        self._seconds: dict[str, dict[str, float]] = {}

    def learn(self, model: str, seconds: Mapping[str, float]) -> None:
        """Learn from the seconds of a finished run's stages."""
        timed = {stage: value for stage, value in seconds.items() if stage not in UNTIMED and value >= 0}
        if sum(timed.values()) > 0:
            self._seconds[model] = timed

    def share(self, model: str, progress: Progress) -> float | None:
        """Share of a run's time that has passed; None while it loads or waits, and in unknown stages."""
        seconds = self._seconds.get(model) or (COMPACT if model in ("compact", "tiny") else LARGE)
        if progress.stage not in seconds:
            return None
        total, before = sum(seconds.values()), 0.0
        for stage, value in seconds.items():
            if stage == progress.stage:
                return (before + value * min(progress.step / max(progress.total, 1), 1.0)) / total
            before += value
        return None


class Countdown:
    """Seconds left, from the share that has passed; the value never rises."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._end: float | None = None

    def left_s(self, share: float | None, now: float) -> float | None:
        """`now`: seconds on any clock. None while there is no estimate."""
        if share is None:
            return None
        if self._began is None:
            self._began, self._first = now, share
            return None
        done = share - self._first
        if done < 0.02 or now <= self._began:
            return None if self._end is None else max(self._end - now, 0.0)
        end = now + (now - self._began) / done * (1 - share)
        self._end = end if self._end is None else min(self._end, end)
        return max(self._end - now, 0.0)
