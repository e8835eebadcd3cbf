"""The models of a process: loaded on first use and kept. One generation runs at a time on the device."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing
from typing import TYPE_CHECKING, TypeVar

from stav2a import systems
from stav2a.dials import Dial
from stav2a.media.limits import InputError, never, stop_if
from stav2a.media.memory import Memory
from stav2a.models.defaults import COMPACT, model_defaults, model_dials
from stav2a.models.precision import dtype_for
from stav2a.output import Progress

if TYPE_CHECKING:
    from stav2a.pipeline import STAV2APipeline

log = logging.getLogger(__name__)
Item = TypeVar("Item")


class Engine:
    """Pipelines by name on one device. Safe to use from many threads; a pipeline works inside `hold`.

    dtype: of the networks, a word of `precision.CHOICES`; compiled: `torch.compile` them.
    `memory` keeps what was computed of the latest clips.
    """

    def __init__(
        self,
        default_model: str = "compact",
        device: str | None = None,
        dtype: str = "auto",
        compiled: bool = False,
    ):
        self.default_model = default_model
        self.lock = threading.Lock()
        self.memory = Memory()
        self.dtype, self.compiled = dtype, compiled
        self._device = device
        self._loading = threading.Lock()
        self._pipelines: dict[str, STAV2APipeline] = {}

    def check_device(self) -> None:
        """Raise `InputError` if the requested device is not available."""
        import torch

        try:
            device = torch.device(self.device)
        except RuntimeError:
            raise InputError(f"There is no kind of device {self.device!r}; it is cpu, cuda, cuda:1 or mps.") from None
        count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
        if (device.index or 0) >= count.get(device.type, 0):
            raise InputError(f"There is no device {self.device} here; leave --device out to use the best there is.")

    @property
    def device(self) -> str:
        """The requested device, else the first available of CUDA, MPS and CPU."""
        if self._device is None:
            import torch

            mps = torch.backends.mps.is_available()
            self._device = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
        return self._device

    def pipeline(self, name: str | None = None) -> STAV2APipeline:
        """The pipeline of a model (default: `default_model`); `InputError` says why there is none."""
        name = name or self.default_model
        with self._loading:
            if name not in self._pipelines:
                self._pipelines[name] = self._load(name)
            return self._pipelines[name]

    def hold_pipeline(self, name: str, pipeline: STAV2APipeline) -> None:
        """Use an opened pipeline as the model of that name."""
        self._pipelines[name] = pipeline

    def has(self, name: str) -> bool:
        """Whether the model is loaded already."""
        return name in self._pipelines

    def models(self) -> dict[str, str | None]:
        """Names of all models: None if usable, else a sentence that says what is missing."""
        names = dict.fromkeys([self.default_model, "compact", *present_systems(), "paper"])
        return {name: unavailable(name) for name in names}

    def defaults(self, name: str) -> dict:
        """Sampling defaults of a model; `InputError` for an unknown name."""
        self._known(name)
        return model_defaults(name)

    def dials(self, name: str) -> dict[str, Dial]:
        """Dials of a model that not every model has; `InputError` for an unknown name."""
        self._known(name)
        return model_dials(name)

    def warm(self) -> threading.Thread:
        """Load the default model and the describer in the background, so that the first visitor does not wait."""

        def load() -> None:
            from stav2a.generation.describe import warm

            try:
                self.pipeline()
                warm()
            except InputError as missing:  # every run that asks for it says so, too
                log.warning("%s", missing)

        thread = threading.Thread(target=load, daemon=True, name="stav2a-warm")
        thread.start()
        return thread

    def hold(
        self, work: Generator[Item, None, None], cancelled: Callable[[], bool] = never
    ) -> AbstractContextManager[Iterator[Item | Progress]]:
        """Yield the items of `work` while it alone holds the device. `Progress("wait")` is yielded until then.

            with engine.hold(pipeline.stream(requests), cancelled) as items:

        Raises `Cancelled` within an item once `cancelled()` is true. The memory of failed
        work is freed.
        """
        return closing(self._held(work, cancelled))

    def _held(
        self, work: Generator[Item, None, None], cancelled: Callable[[], bool]
    ) -> Generator[Item | Progress, None, None]:
        while not self.lock.acquire(timeout=0.1):
            stop_if(cancelled)
            yield Progress("wait")
        try:
            with closing(work):
                for item in work:
                    stop_if(cancelled)
                    yield item
        except Exception as error:
            if out_of_memory(error):
                free_memory()
            raise
        finally:
            self.lock.release()

    def _known(self, name: str) -> str | None:
        """Why a listed model cannot be used, or None. Names come from outside: unlisted ones are refused unread."""
        if name not in (known := self.models()):
            raise InputError(f"There is no model of that name; there are {', '.join(known)}.")
        return known[name]

    def _load(self, name: str) -> STAV2APipeline:
        if (sentence := self._known(name)) is not None:
            raise InputError(sentence)
        from stav2a.pipeline import STAV2APipeline

        threading.Thread(target=_warm_measures, daemon=True).start()
        try:
            pipeline = STAV2APipeline.from_pretrained(name, dtype=dtype_for(self.device, self.dtype))
        except (OSError, ValueError) as error:
            log.error("the model %r cannot be loaded", name, exc_info=error)
            first = str(error).strip().split("\n")[0][:300]
            raise InputError(f"The model {name} cannot be loaded: {first}") from error
        pipeline.set_progress_bar_config(disable=True)
        pipeline = pipeline.to(self.device)
        if self.compiled:
            pipeline.compile()
        return pipeline


def present_systems() -> list[str]:
    """Systems other than the built-in model whose weights are installed."""
    return [name for name in systems.present() if name != systems.OWN]


def unavailable(name: str) -> str | None:
    """The reason why the model `name` cannot be used, or None. Checks the disk only, not the network."""
    if name == "compact" and not (COMPACT / "model_index.json").is_file():
        return "The built-in model is not installed: assets/compact is missing."
    if name in systems.names():
        return systems.unavailable(name) or (unavailable("compact") if systems.leans_on(name) == "compact" else None)
    if name == "paper":
        from stav2a.weights import unavailable as paper_unavailable

        return paper_unavailable("paper")
    return None


def out_of_memory(error: BaseException) -> bool:
    """On the device or on the host."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def free_memory() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _warm_measures() -> None:
    """Compile the onset detector while the weights load."""
    from stav2a.sound.compiled import librosa

    librosa()
