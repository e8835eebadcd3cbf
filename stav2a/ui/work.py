"""The jobs of the page, as iterators of progress whose last item is the outcome.

On a Space with a shared GPU the functions at the end run in a process that is forked from this one: what they are
given and what they yield is pickled, and of a failure only its class comes back. See `Here` and `Refused`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from stav2a.media.limits import InputError, Limits
from stav2a.media.probe import probe
from stav2a.ui.history import History, Run, record
from stav2a.ui.jobs import NO_MEMORY, free_memory, out_of_memory

if TYPE_CHECKING:
    from stav2a.generation.engine import Engine
    from stav2a.generation.settings import Settings
    from stav2a.generation.variants import Variant

WINDOW_STEP_S = 7.68  # windows of 10.24 s overlap by a quarter
MOST_GPU_S = 300


@dataclass(frozen=True)
class Stage:
    """Progress of work that has no steps of its own."""

    stage: str
    step: int = 0
    total: int = 1


@dataclass(frozen=True)
class Found:
    """Onsets predicted from the picture alone."""

    duration_s: float
    start_s: float
    step_s: float
    curve: list[float]
    onsets_s: list[float]


def generation(
    engine: Engine, history: History, visit: str, clip: Path, settings: Settings, limits: Limits
) -> Callable[[Callable[[], bool]], Iterator]:
    """Generate into a new folder of the visit; the folder goes when the run fails or is cancelled."""

    def work(cancelled: Callable[[], bool]) -> Iterator[Stage | Run]:
        folder = history.new_folder(visit)
        run = None
        try:
            with closing(on_device(Here(engine, cancelled), clip, settings, folder, limits)) as stream:
                for item in allowed(stream):
                    if hasattr(item, "stage"):
                        yield item
                    else:
                        yield Stage("record")
                        run = record(item, folder, clip.name)
                        yield run
        finally:
            if run is None:
                history.drop(folder)

    return work


def prediction(
    engine: Engine, clip: Path, settings: Settings, limits: Limits
) -> Callable[[Callable[[], bool]], Iterator]:
    """Predict onsets without generating."""

    def work(cancelled: Callable[[], bool]) -> Iterator[Stage | Found]:
        with closing(predict_on_device(Here(engine, cancelled), clip, settings, limits)) as stream:
            yield from allowed(stream)

    return work


def rendered(
    engine: Engine, clip: Path, variants: list[Variant], cancelled: Callable[[], bool], limits: Limits
) -> Iterator:
    """Progress and `Rendered` of variants, see `variants.render`."""
    with closing(render_on_device(Here(engine, cancelled), clip, variants, limits)) as stream:
        yield from allowed(stream)


# ---- a shared GPU ---------------------------------------------------------------------------------------------


class Here:
    """The engine of this process, and whether to stop. Pickled, it is a number: the fork finds its own copy.

    Whether to stop cannot be asked from a fork; there a run is stopped by closing its stream.
    """

    _engines: WeakValueDictionary[int, Engine] = WeakValueDictionary()

    def __init__(self, engine: Engine, cancelled: Callable[[], bool]):
        self.engine, self.cancelled = engine, cancelled
        self._engines[id(engine)] = engine

    def __reduce__(self) -> tuple:
        return _here, (id(self.engine),)


def _here(number: int) -> Here:
    return Here(Here._engines[number], lambda: False)


@dataclass(frozen=True)
class Refused:
    """The sentence of an `InputError`."""

    sentence: str


def refusing(stream: Iterator) -> Iterator:
    """The stream; a refusal becomes its last item."""
    try:
        yield from stream
    except InputError as refusal:
        yield Refused(str(refusal))
    except Exception as error:
        if not out_of_memory(error):
            raise
        free_memory()
        yield Refused(NO_MEMORY)


def allowed(stream: Iterator) -> Iterator:
    """The stream; a `Refused` in it is raised again."""
    for item in stream:
        if isinstance(item, Refused):
            raise InputError(item.sentence)
        yield item


def gpu_seconds(here: Here, clip: Path, settings: Settings, *_) -> int:
    """How long a shared GPU is asked for: steps × takes × windows of the clip, with room for loading."""
    windows = _windows(clip, settings)
    steps = settings.steps or here.engine.defaults(settings.model)["steps"]
    return int(min(20 + 0.06 * steps * settings.takes * windows + 3 * windows * settings.takes, MOST_GPU_S))


def gpu_seconds_of_onsets(here: Here, clip: Path, settings: Settings, *_) -> int:
    return int(min(15 + _windows(clip, settings), MOST_GPU_S))


def gpu_seconds_of_variants(here: Here, clip: Path, variants: list[Variant], *_) -> int:
    return min(sum(gpu_seconds(here, clip, variant.settings) for variant in variants), MOST_GPU_S)


def _windows(clip: Path, settings: Settings) -> float:
    length_s = settings.length_s
    if length_s is None:
        try:
            length_s = probe(clip).duration_s - settings.start_s
        except InputError:
            length_s = 0.0  # the run itself will say why the clip cannot be used
    return max(1.0, length_s / WINDOW_STEP_S)


def _on_gpu(seconds: Callable[..., int]) -> Callable:
    """`spaces.GPU` on a Space with a shared GPU; elsewhere the function itself."""

    def wrap(function):
        try:
            import spaces
        except ImportError:
            return function
        return spaces.GPU(duration=seconds)(function)

    return wrap


@_on_gpu(gpu_seconds)
def on_device(here: Here, clip: Path, settings: Settings, folder: Path, limits: Limits) -> Iterator:
    from stav2a.generation.generate import generate

    yield from refusing(generate(here.engine, clip, settings, folder, here.cancelled, limits))


@_on_gpu(gpu_seconds_of_onsets)
def predict_on_device(here: Here, clip: Path, settings: Settings, limits: Limits) -> Iterator:
    yield from refusing(_predict(here, clip, settings, limits))


@_on_gpu(gpu_seconds_of_variants)
def render_on_device(here: Here, clip: Path, variants: list[Variant], limits: Limits) -> Iterator:
    from stav2a.generation.variants import render

    yield from refusing(render(here.engine, clip, variants, here.cancelled, limits))


def _predict(here: Here, clip: Path, settings: Settings, limits: Limits) -> Iterator[Stage | Found]:
    from stav2a.generation.generate import stop_if
    from stav2a.media.frames import read_for_model

    yield Stage("load")
    pipeline = here.engine.pipeline(settings.model)
    yield Stage("read")
    part = (settings.start_s, settings.length_s)
    frames = read_for_model(clip, pipeline.timeline, *part, limits, here.cancelled)
    while not here.engine.lock.acquire(timeout=0.1):
        stop_if(here.cancelled)
        yield Stage("wait")
    try:
        yield Stage("onsets")
        found = pipeline.predict_onsets(frames.frames)
    finally:
        here.engine.lock.release()
    yield Found(
        duration_s=float(frames.duration_s),
        start_s=float(settings.start_s),
        step_s=float(found.step_s),
        curve=[round(float(p), 4) for p in found.curve],
        onsets_s=[round(float(t), 4) for t in found.onsets_s],
    )
