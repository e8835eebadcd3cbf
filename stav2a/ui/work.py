"""The work of the page's jobs, as iterators of progress whose last item is the result.

On a Space with a shared GPU, the functions at the end run in a forked process: their arguments and results are pickled,
and of an exception only the class comes back. See `on_gpu`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from stav2a.generation.engine import free_memory, out_of_memory
from stav2a.generation.generate import generate, render
from stav2a.generation.onsets import Found, find_onsets
from stav2a.media.limits import InputError, Limits
from stav2a.media.probe import probe
from stav2a.output import Progress
from stav2a.ui.history import History, Run, record
from stav2a.ui.line.jobs import NO_MEMORY, Early

if TYPE_CHECKING:
    from stav2a.generation.engine import Engine
    from stav2a.generation.settings import Settings
    from stav2a.generation.variants import Variant

WINDOW_STEP_S = 7.68  # windows of 10.24 s overlap by a quarter
MOST_GPU_S = 300

Work = Callable[[Callable[[], bool]], Iterator]  # whether to stop -> progress, then the result


def generation(
    engine: Engine,
    history: History,
    visit: str,
    clip: Path | None,
    settings: Settings,
    limits: Limits,
    drawn: bool = True,
) -> Work:
    """Generate into a new folder of the visit; the folder is removed if the run fails or is cancelled.

    drawn: False leaves out the figures. An `Early` run comes when it can be played, the complete `Run` at the end.
    """

    def work(cancelled: Callable[[], bool]) -> Iterator[Progress | Early | Run]:
        folder = history.new_folder(visit)
        complete = False
        try:
            making = generate_on_device if drawn else sound_on_device
            with closing(making(engine, clip, settings, folder, cancelled, limits)) as items:
                for item in items:
                    if isinstance(item, Progress):
                        yield item
                    else:
                        if item.measures:
                            yield Progress("record")
                        run = record(item, folder, "" if clip is None else clip.name)
                        complete = bool(item.measures)
                        yield run if complete else Early(run)
        finally:
            if not complete:
                history.drop(folder)

    return work


def prediction(engine: Engine, clip: Path, settings: Settings, limits: Limits) -> Work:
    """Predict onsets without generating."""

    def work(cancelled: Callable[[], bool]) -> Iterator[Progress | Found]:
        return find_onsets_on_device(engine, clip, settings, cancelled, limits)

    return work


# ---- a shared GPU ---------------------------------------------------------------------------------------------


class Here:
    """The engine of this process. It is pickled as a number, with which the fork finds its own copy."""

    _engines: WeakValueDictionary[int, Engine] = WeakValueDictionary()

    def __init__(self, engine: Engine):
        self.engine = engine
        self._engines[id(engine)] = engine

    def __reduce__(self) -> tuple:
        return _here, (id(self.engine),)


def _here(number: int) -> Here:
    return Here(Here._engines[number])


@dataclass(frozen=True)
class Refused:
    """The message of an `InputError`, because a fork cannot raise it in this process."""

    sentence: str


def gpu_seconds(here: Here, clip: Path | None, settings: Settings, *_) -> int:
    """Seconds to request from a shared GPU: steps × takes × windows of the clip, plus time for loading."""
    windows = _windows(clip, settings)
    steps = settings.steps or here.engine.defaults(settings.model)["steps"]
    return int(min(20 + 0.06 * steps * settings.takes * windows + 3 * windows * settings.takes, MOST_GPU_S))


def gpu_seconds_of_onsets(here: Here, clip: Path, settings: Settings, *_) -> int:
    return int(min(15 + _windows(clip, settings), MOST_GPU_S))


def gpu_seconds_of_variants(here: Here, clip: Path, variants: list[Variant], *_) -> int:
    return min(sum(gpu_seconds(here, clip, variant.settings) for variant in variants), MOST_GPU_S)


def _windows(clip: Path | None, settings: Settings) -> float:
    length_s = settings.length_s
    if length_s is None and clip is not None:
        try:
            length_s = probe(clip).duration_s - settings.start_s
        except InputError:
            length_s = 0.0  # the run itself will report why the clip cannot be used
    return max(1.0, (length_s or 0.0) / WINDOW_STEP_S)


def on_gpu(work: Callable[..., Iterator], seconds: Callable[..., int]) -> Callable[..., Iterator]:
    """`work(engine, ..., cancelled, limits)` in a fork on a Space with a shared GPU; else `work` itself.

    A fork cannot call `cancelled`: a run is stopped there by closing its stream.
    """
    try:
        import spaces
    except ImportError:
        return work

    @spaces.GPU(duration=seconds)
    def there(here: Here, *given) -> Iterator:
        *given, limits = given
        try:
            for item in work(here.engine, *given, limits=limits):
                yield replace(item, latents=None) if isinstance(item, Progress) else item
        except InputError as refusal:
            yield Refused(str(refusal))
        except Exception as error:
            if not out_of_memory(error):
                raise
            free_memory()
            yield Refused(NO_MEMORY)

    def from_here(engine: Engine, *given) -> Iterator:
        *given, _, limits = given
        with closing(there(Here(engine), *given, limits)) as items:
            for item in items:
                if isinstance(item, Refused):
                    raise InputError(item.sentence)
                yield item

    return from_here


generate_on_device = on_gpu(generate, gpu_seconds)
sound_on_device = on_gpu(partial(generate, drawn=False), gpu_seconds)
find_onsets_on_device = on_gpu(find_onsets, gpu_seconds_of_onsets)
render_on_device = on_gpu(render, gpu_seconds_of_variants)
