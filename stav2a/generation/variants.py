"""Several sounds for one clip that differ in known dials: a set along one axis, or a grid.

The clip is read and looked at once, each caption is encoded once, and variants that differ in guidance and seed
alone are denoised as one batch. Noise is drawn from the seed, so variants of one seed begin with the same noise.

    for item in render(engine, clip, along("guidance_scale", settings, [1, 3, 6])):
        ...  # Progress, or a finished `Rendered`
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stav2a.generation.generate import Job, never, read, stop_if
from stav2a.generation.result import measure
from stav2a.generation.settings import OFF, RANGES, Settings
from stav2a.media.limits import InputError, Limits

if TYPE_CHECKING:
    from stav2a.generation.engine import Engine
    from stav2a.output import Progress
    from stav2a.pipeline import STAV2APipeline

LIMITS = Limits()
MOST_AT_ONCE = 8  # variants in one batch: guidance doubles them
PARTS = {  # rows of the paper's Table III: what steers the sound, one part more in each
    "text only": {"use_control": False, "use_onsets": False, "use_global_tokens": False},
    "+ video control": {"use_control": True, "use_onsets": False, "use_global_tokens": False},
    "+ onset curve": {"use_control": True, "use_onsets": True, "use_global_tokens": False},
    "+ global tokens": {"use_control": True, "use_onsets": True, "use_global_tokens": True},
}
AXES = {  # field of Settings: how a value is named ("parts" are the switches above)
    "guidance_scale": "guidance {:g}",
    "steps": "{:d} steps",
    "seed": "seed {:d}",
    "sampler": "{}",
    "control_scale": "control {:g}",
    "model": "{}",
    "parts": "{}",
}


@dataclass(frozen=True)
class Variant:
    """Settings for one sound, and what is left out of its conditions (see `STAV2APipeline.extract`)."""

    name: str
    settings: Settings
    use: dict[str, bool] = field(default_factory=lambda: PARTS["+ global tokens"])

    def batch_key(self) -> tuple:
        """Variants with equal keys can be denoised together."""
        alike = replace(self.settings, guidance_scale=None, seed=0, takes=1)
        return alike, tuple(self.use.items())


@dataclass(frozen=True)
class Rendered:
    """A finished variant. waveform: float32 [S]; `onsets_s` are heard in it, `followed_s` were to be followed."""

    index: int
    variant: Variant
    waveform: np.ndarray
    sample_rate: int
    onsets_s: list[float]
    followed_s: list[float]
    measures: dict[str, float]


def along(axis: str, base: Settings, values: Sequence) -> list[Variant]:
    """One variant a value of `axis`, everything else as in `base`."""
    if axis not in AXES:
        raise InputError(f"The axis must be one of {', '.join(AXES)}.")
    if axis == "parts":
        if unknown := [value for value in values if value not in PARTS]:
            raise InputError(f"There is no part {unknown[0]!r}; there are {', '.join(PARTS)}.")
        return [Variant(name, base.validated(), PARTS[name]) for name in values]
    made = [replace(base, **{axis: value}).validated() for value in values]
    return [Variant(AXES[axis].format(getattr(settings, axis)), settings) for settings in made]


def grid(base: Settings, guidance_scales: Sequence[float], steps: Sequence[int]) -> list[Variant]:
    """Every guidance scale with every number of steps, row by row of equal steps."""
    return [
        Variant(f"guidance {w:g} · {n} steps", replace(base, guidance_scale=w, steps=n).validated())
        for n in steps
        for w in guidance_scales
    ]


def numbers(text: str, name: str, most: int, least: int = 1) -> list[float | int]:
    """The values of a field of `Settings` from "1, 3, 6": in range, ascending, without repetition."""
    title, lowest, highest, whole = RANGES[name]
    words = str(text).replace(";", ",").replace("\n", ",").split(",")
    values = set()
    for word in filter(None, (word.strip() for word in words)):
        try:
            value = float(word)
        except ValueError:
            raise InputError(f"{title} needs numbers with commas between them, not {word[:40]!r}.") from None
        if not lowest <= value <= highest:
            raise InputError(f"{title} is {value:g}; it must lie between {lowest:g} and {highest:.10g}.")
        if whole and value != int(value):
            raise InputError(f"{title} is {value:g}; it must be a whole number.")
        values.add(int(value) if whole else value)
    if not least <= len(values) <= most:
        raise InputError(f"{title} has {len(values)} values; between {least} and {most} are needed.")
    return sorted(values)


def render(
    engine: Engine,
    clip: str | Path,
    variants: Sequence[Variant],
    cancelled: Callable[[], bool] = never,
    limits: Limits = LIMITS,
) -> Iterator[Progress | Rendered]:
    """Yield progress after every step and each variant when it is done; fewest steps come first.

    All variants use one part of one clip. Raises `Cancelled` within a step once `cancelled()` is true.
    """
    from stav2a.output import Progress

    indexed = list(enumerate(variants))
    defaults = {}
    looked: dict[str, tuple] = {}
    for model in dict.fromkeys(variant.settings.model for variant in variants):
        yield Progress("load", 0, 1)
        pipe = engine.pipeline(model)
        yield Progress("read", 0, 1)
        job = Job(Path(clip), replace(variants[0].settings, model=model, original_audio="replace"))
        read(job, pipe, limits, cancelled)
        yield from _wait(engine, cancelled)
        with _held(engine):
            yield Progress("video", 0, 1)
            looked[model] = pipe, pipe.encode_video(job.clip.frames), job.settings.prompt, {}
        defaults[model] = pipe.defaults["steps"]

    def steps_of(variant: Variant) -> int:
        return variant.settings.steps or defaults[variant.settings.model]

    total, done = sum(steps_of(batch[0][1]) for batch in _batches(indexed, steps_of)), 0
    for batch in _batches(indexed, steps_of):
        pipe, video, caption, encoded = looked[batch[0][1].settings.model]
        steps = steps_of(batch[0][1])
        yield from _wait(engine, cancelled)
        with _held(engine), engine.free_memory_on_failure():
            told = [_told(variant, caption) for _, variant in batch]
            for latents in _denoise(pipe, video, encoded, told, steps):  # noqa: B007
                stop_if(cancelled)
                done += 1
                yield Progress("denoise", done, total)
            for item, latent in zip(batch, latents, strict=True):
                yield _finished(pipe, video, *item, latent[None])
                stop_if(cancelled)


def _told(variant: Variant, caption: str) -> Variant:
    """The variant with the caption that the clip was given where it has none of its own."""
    settings = variant.settings
    if settings.prompt.strip() or settings.describe == OFF:
        return variant
    return replace(variant, settings=replace(settings, prompt=caption))


def _batches(indexed: list[tuple[int, Variant]], steps_of) -> list[list[tuple[int, Variant]]]:
    groups: dict[tuple, list] = {}
    for item in indexed:
        groups.setdefault(item[1].batch_key(), []).append(item)
    parts = [group[k : k + MOST_AT_ONCE] for group in groups.values() for k in range(0, len(group), MOST_AT_ONCE)]
    return sorted(parts, key=lambda part: steps_of(part[0][1]))


def _denoise(pipe: STAV2APipeline, video, encoded: dict, batch: list[Variant], steps: int) -> Iterator:
    """Latents Tensor[K, C, T, F] after each step, one item a variant."""
    settings, use = batch[0].settings, batch[0].use
    key = (settings.prompt, settings.negative_prompt, settings.onsets_s, settings.layout, *use.values())
    if key not in encoded:
        steered = {"onsets_s": settings.onsets_s, "layout": settings.layout, **use}
        encoded[key] = pipe.extract(video, settings.prompt, settings.negative_prompt, **steered)
    scales = [variant.settings.guidance_scale for variant in batch]
    guidance = pipe.guidance(
        video=settings.video_guidance_scale,
        control=settings.control_scale,
        scales=scales,
        negative=settings.negative_guidance_scale,
        alignment=settings.alignment_guidance_scale,
    )
    yield from pipe.denoise(
        encoded[key],
        length=pipe.padded_length(video),
        seeds=[variant.settings.seed for variant in batch],
        steps=steps,
        guidance=guidance,
        sampler=settings.sampler,
    )


def _finished(pipe: STAV2APipeline, video, index: int, variant: Variant, latent) -> Rendered:
    from stav2a.metrics.onsets import detect_onsets

    rate = pipe.timeline.sample_rate
    waveform = pipe.decode(latent, round(video.duration_s * rate))[0][0]
    if not np.isfinite(waveform).all():
        raise InputError("The model gave no usable sound with these settings; lower the guidance scale.")
    given = variant.settings.onsets_s
    followed = [float(t) for t in (video.onset.onsets_s if given is None else given)]
    heard = [float(t) for t in detect_onsets(waveform, rate)]
    measures = measure(waveform, rate, heard, followed, video.duration_s)
    return Rendered(index, variant, waveform, rate, heard, followed, measures)


def _wait(engine: Engine, cancelled: Callable[[], bool]) -> Iterator[Progress]:
    """Take the engine's lock, saying that it is waited for."""
    from stav2a.output import Progress

    while not engine.lock.acquire(timeout=0.1):
        stop_if(cancelled)
        yield Progress("wait", 0, 1)


@contextmanager
def _held(engine: Engine) -> Iterator[None]:
    try:
        yield
    finally:
        engine.lock.release()
