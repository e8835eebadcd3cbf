"""Time left of a run: from the pace of its own denoising steps, and from what other stages took in finished runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stav2a.output import Progress

UNTIMED = ("load", "wait")  # their time varies and does not predict the rest
DENOISE = "denoise"
FROM_STEP = 2  # the first step after which an estimate is given


@dataclass(frozen=True)
class Shape:
    """How the time of a model's runs is spread.

    stages: time of each stage in mean denoising steps, in order; `denoise` only keeps its place
    bend: (share of the steps, share of the denoising time that they take): guided steps, which come first, take longer
    """

    stages: dict[str, float]
    bend: tuple[float, float] = (0.5, 0.5)

    def denoised(self, share: float) -> float:
        """Share of the denoising time that has passed after this share of the steps."""
        return float(np.interp(share, (0.0, self.bend[0], 1.0), (0.0, self.bend[1], 1.0)))

    def after(self, stage: str) -> float:
        """Time of all stages after `stage`, in mean denoising steps."""
        names = list(self.stages)
        return sum(self.stages[name] for name in names[names.index(stage) + 1 :] if name != DENOISE)


SMALL = ("compact", "tiny")
# Of the small models on two cores: in the first run of a process, whose decoding and drawing warm up, and until a later
# one has finished. Of larger models: until a run has finished.
SMALL_FIRST = Shape(
    {"read": 7.0, "video": 2.0, "text": 0.3, "recordings": 0.3, DENOISE: 0.0, "decode": 9.0, "level": 0.4, "mux": 4.0,
     "measure": 0.2, "figure": 2.3, "bundle": 0.1, "record": 7.7},
    bend=(0.5, 0.7),
)  # fmt: skip
SMALL_LATER = Shape(
    {"read": 0.3, "video": 0.2, "text": 0.3, "recordings": 0.2, DENOISE: 0.0, "decode": 1.0, "level": 0.3, "mux": 2.6,
     "measure": 0.1, "figure": 3.1, "bundle": 0.1, "record": 5.4},
    bend=(0.5, 0.7),
)  # fmt: skip
LARGE = Shape(
    {"read": 0.3, "video": 1.0, "text": 0.3, "recordings": 0.6, DENOISE: 0.0, "decode": 3.0, "level": 0.1, "mux": 0.3,
     "measure": 0.4, "figure": 0.4, "bundle": 0.1, "record": 0.6},
)  # fmt: skip


class Pace:
    """Shapes of runs by model; shared by all visitors, because they use the same machine."""

    def __init__(self) -> None:
        self._shapes: dict[str, Shape] = {}
        self._warm: set[str] = set()  # small models that have finished a run

    def shape(self, model: str) -> Shape:
        if model in self._shapes:
            return self._shapes[model]
        if model not in SMALL:
            return LARGE
        return SMALL_LATER if model in self._warm else SMALL_FIRST

    def learn(self, model: str, timing: Timing) -> None:
        """Learn from a finished run that has denoised; not from the first one of a small model."""
        if model in SMALL and model not in self._warm:
            self._warm.add(model)
            return
        denoise_s, steps = timing.spent.get(DENOISE, 0.0), timing.steps
        if denoise_s > 0 and steps:
            stages = {name: seconds * steps / denoise_s for name, seconds in timing.spent.items()}
            half, half_s = timing.half
            bend = (half / steps, half_s / denoise_s) if 0 < half < steps else (0.5, 0.5)
            self._shapes[model] = Shape(stages, bend)


class Timing:
    """Time of one run, from its progress."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}  # seconds of each stage
        self.steps = 0  # of denoising
        self.half = (0, 0.0)  # the last step of their first half, and the seconds until then
        self._last: Progress | None = None
        self._at = self._began = 0.0  # of the last progress, and of its stage; seconds on any clock
        self._left: float | None = None

    def note(self, progress: Progress | None, now: float) -> None:
        """The run got on; None: it ended."""
        last = self._last
        if last is not None and last.stage not in UNTIMED:
            self.spent[last.stage] = self.spent.get(last.stage, 0.0) + now - self._at
        if progress is None:
            return
        if last is None or last.stage != progress.stage:
            self._began = now
        self._last, self._at = progress, now
        if progress.stage == DENOISE:
            self.steps = progress.total
            if progress.step <= progress.total / 2:
                self.half = (progress.step, self.spent.get(DENOISE, 0.0))

    def share(self, shape: Shape) -> float | None:
        """Share of the run's time that has passed; None while it loads or waits, and in unknown stages."""
        last = self._last
        if last is None or last.stage not in shape.stages:
            return None
        times = {**shape.stages, DENOISE: float(self.steps or 6)}
        names, part = list(times), last.step / max(last.total, 1)
        before = sum(times[name] for name in names[: names.index(last.stage)])
        inside = shape.denoised(part) if last.stage == DENOISE else min(part, 1.0)
        return (before + inside * times[last.stage]) / sum(times.values())

    def left_s(self, shape: Shape, now: float) -> float | None:
        """Seconds left, which never rise; None before the second denoising step."""
        last = self._last
        if last is None or last.stage not in shape.stages or not self.spent.get(DENOISE):
            return self._left
        if last.stage == DENOISE:
            if last.step < min(FROM_STEP, last.total):
                return None
            denoise_s = self.spent[DENOISE] / shape.denoised(last.step / last.total)
            rest_s = denoise_s - self.spent[DENOISE] - (now - self._at)
        else:
            denoise_s = self.spent[DENOISE]
            rest_s = shape.stages[last.stage] * denoise_s / self.steps - (now - self._began)
        left = max(rest_s, 0.0) + shape.after(last.stage) * denoise_s / self.steps
        self._left = left if self._left is None else min(self._left, left)
        return self._left
