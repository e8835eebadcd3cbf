"""Generate sound for a clip file and write the clip with its sound. Yields progress.

`generate` reads a clip, runs the model and writes its sound. `render` makes several sounds of one clip with
different settings and writes no files. Both pass requests to `STAV2APipeline.stream` while the engine holds the device.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stav2a.denoise.request import Request
from stav2a.generation.read import read
from stav2a.generation.result import Result, measure, usable
from stav2a.generation.settings import Settings, check_dials
from stav2a.generation.write import write
from stav2a.media.limits import DEFAULT_LIMITS, Limits, never
from stav2a.output import Progress

if TYPE_CHECKING:
    from stav2a.generation.engine import Engine
    from stav2a.generation.read import ClipInput
    from stav2a.generation.variants import Variant
    from stav2a.output import STAV2AOutput
    from stav2a.pipeline import STAV2APipeline


def generate(
    engine: Engine,
    clip_path: str | Path | None,
    settings: Settings,
    out_dir: str | Path,
    cancelled: Callable[[], bool] = never,
    limits: Limits = DEFAULT_LIMITS,
    drawn: bool = True,
) -> Iterator[Progress | Result]:
    """Generate sound for a clip and write everything into `out_dir`; the last item is the `Result`.

    drawn: False leaves out figures, exports and the bundle, which take half as long as the sound of a short clip.

    An earlier `Result` comes as soon as the sound can be played, before it is measured and drawn. A picture is used as
    a still clip. Without a clip (None) the sound is made from the caption, `length_s` seconds long, and no video is
    written.

    Raises `InputError` with one sentence for unusable input and `Cancelled` once `cancelled()` is true; in
    both cases, and when the generator is closed, no file of this run is left in `out_dir`.
    """
    settings = settings.validated()
    yield Progress("load")
    pipeline = engine.pipeline(settings.model)
    yield Progress("read")
    source = read(clip_path, settings, pipeline, cancelled, limits, engine.memory)
    output = yield from sound_of(source, engine, pipeline, cancelled)
    yield from write(source, output, pipeline.timeline, Path(out_dir), cancelled, limits, drawn)


def sound_of(
    source: ClipInput, engine: Engine, pipeline: STAV2APipeline, cancelled: Callable[[], bool]
) -> Generator[Progress, None, STAV2AOutput]:
    """Yield the progress of one request and return its output."""
    with engine.hold(pipeline.stream([source.request()]), cancelled) as items:
        for item in items:
            if isinstance(item, Progress):
                yield item
            else:
                output = item
    source.learn(output)
    return output


@dataclass(frozen=True)
class Rendered:
    """A finished variant. waveform: float32 [S]; `onsets_s`: detected in it; `followed_s`: conditioned on."""

    index: int
    variant: Variant
    waveform: np.ndarray
    sample_rate: int
    onsets_s: list[float]
    followed_s: list[float]
    measures: dict[str, float]


def render(
    engine: Engine,
    clip_path: str | Path,
    variants: Sequence[Variant],
    cancelled: Callable[[], bool] = never,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[Progress | Rendered]:
    """Yield progress after every step, and each variant when it is done. Variants with few steps come first.

    All variants use the same part of the clip, which is read and encoded once per model. Variants with the same seed
    start from the same noise. Raises `Cancelled` within a step once `cancelled()` is true.
    """
    part = {name: getattr(variants[0].settings, name) for name in ("start_s", "length_s")}
    for model in dict.fromkeys(variant.settings.model for variant in variants):
        mine = [(index, variant) for index, variant in enumerate(variants) if variant.settings.model == model]
        yield Progress("load")
        pipeline = engine.pipeline(model)
        for _, variant in mine:
            check_dials(variant.settings, pipeline.dials)
        yield Progress("read")
        first = replace(mine[0][1].settings, original_audio="replace", **part)
        source = read(clip_path, first, pipeline, cancelled, limits, engine.memory)
        frames = source.frames_or_features
        requests = [Request(frames, source.captioned(variant.settings), variant.defaults) for _, variant in mine]
        with engine.hold(pipeline.stream(requests), cancelled) as items:
            for item in items:
                if isinstance(item, Progress):
                    yield item
                else:
                    source.learn(item)
                    index, variant = mine[item.index]
                    yield rendered(index, variant, item)


def rendered(index: int, variant: Variant, output: STAV2AOutput) -> Rendered:
    from stav2a.sound.onsets import detect_onsets

    waveform, rate = usable(output.waveforms[0]), output.sample_rate
    onsets_s = [float(t) for t in detect_onsets(waveform, rate)]
    followed = [float(t) for t in output.onsets_s]
    measures = measure(waveform, rate, onsets_s, followed, output.duration_s)
    return Rendered(index, variant, waveform, rate, onsets_s, followed, measures)
