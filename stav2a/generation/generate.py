"""From a clip on disk to the same clip with sound on disk: read -> generate -> write, yielding progress.

`generate` is the whole way for the page and for one clip. `read`, `compute` and `write` are its three parts;
the command line runs them side by side for many clips.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stav2a.generation.describe import Caption, caption_of
from stav2a.generation.result import Result, Take, measure, write_bundle, written_together
from stav2a.generation.settings import OFF, Settings, check_onsets, check_system
from stav2a.media import (
    Cancelled,
    Clip,
    InputError,
    Limits,
    fit_loudness,
    mux,
    read_audio,
    read_for_model,
    write_wav,
)
from stav2a.media.clip_files import safe_stem
from stav2a.media.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from stav2a.generation.engine import Engine
    from stav2a.output import Progress, STAV2AOutput


def never() -> bool:
    return False


@dataclass
class Job:
    """A clip on its way: what was read, and the seconds each stage took. `settings` hold the caption that is used."""

    path: Path
    settings: Settings
    clip: Clip | None = None
    caption: Caption | None = None
    original: np.ndarray | None = None
    stages: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.stages[stage] = self.stages.get(stage, 0.0) + time.perf_counter() - start


def generate(
    engine: Engine,
    clip_path: str | Path,
    settings: Settings,
    out_dir: str | Path,
    cancelled: Callable[[], bool] = never,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[Progress | Result]:
    """Generate sound for a clip and write everything into `out_dir`; the last item is the `Result`.

    Raises `InputError` with one sentence for unusable input and `Cancelled` once `cancelled()` is true; in
    both cases, and when the generator is closed, nothing of this run stays in `out_dir`.
    """
    from stav2a.output import Progress

    settings = settings.validated()
    job = Job(Path(clip_path), settings)
    yield Progress("load", 0, 1)
    with job.timed("load"):
        pipeline = engine.pipeline(settings.model)
    yield Progress("read", 0, 1)
    read(job, pipeline, limits, cancelled)
    output = yield from compute(job, engine, cancelled)
    yield from write(job, output, pipeline.timeline, Path(out_dir), cancelled, limits)


def read(job: Job, pipeline, limits: Limits = DEFAULT_LIMITS, cancelled: Callable[[], bool] = never) -> None:
    """Fill in the job's frames and caption, and its own sound where it is asked for."""
    settings, timeline = job.settings, pipeline.timeline
    system = getattr(pipeline, "system", None)
    check_system(settings, system)
    if system is not None and not system.hears_caption:
        settings = replace(settings, describe=OFF)
    with job.timed("read"), ThreadPoolExecutor(1) as beside:
        captioning = beside.submit(caption_of, job.path, settings, limits, cancelled)
        job.clip = read_for_model(job.path, timeline, settings.start_s, settings.length_s, limits, cancelled)
        if settings.onsets_s is not None:
            check_onsets(settings.onsets_s, job.clip.duration_s)
        if settings.original_audio != "replace":
            job.original = read_audio(
                job.path,
                timeline.sample_rate,
                settings.start_s,
                job.clip.duration_s,
                limits=limits,
                cancelled=cancelled,
            )
        job.caption = captioning.result()
        job.settings = replace(job.settings, prompt=job.caption.text)


def compute(job: Job, engine: Engine, cancelled: Callable[[], bool] = never) -> Iterator[Progress]:
    """Run the model on a job that was read; yields progress and returns the pipeline's output."""
    from stav2a.output import Progress

    settings = job.settings
    pipeline = engine.pipeline(settings.model)
    with job.timed("wait"):
        while not engine.lock.acquire(timeout=0.1):
            stop_if(cancelled)
            yield Progress("wait", 0, 1)
    try:
        with engine.free_memory_on_failure():
            stream = pipeline.stream(
                job.clip.frames,
                settings.prompt,
                settings.negative_prompt,
                num_inference_steps=settings.steps,
                guidance_scale=settings.guidance_scale,
                video_guidance_scale=settings.video_guidance_scale,
                negative_guidance_scale=settings.negative_guidance_scale,
                alignment_guidance_scale=settings.alignment_guidance_scale,
                controlnet_conditioning_scale=settings.control_scale,
                sampler=settings.sampler,
                seed=settings.seed,
                takes=settings.takes,
                onsets_s=settings.onsets_s,
                layout=settings.layout,
            )
            try:
                return (yield from _followed(job, stream, cancelled))
            finally:
                stream.close()
    finally:
        engine.lock.release()


def _followed(job: Job, stream, cancelled: Callable[[], bool]) -> Iterator[Progress]:
    """Pass on the stream's progress, noting the seconds of each stage; returns its last item."""
    start, stage = time.perf_counter(), None
    while True:
        stop_if(cancelled)
        item = next(stream)
        now = time.perf_counter()
        if stage is not None:
            job.stages[stage] = job.stages.get(stage, 0.0) + now - start
        if not hasattr(item, "stage"):
            return item
        start, stage = now, item.stage
        yield item
        start = time.perf_counter()  # what the consumer does meanwhile is not the model's time


def write(
    job: Job,
    output: STAV2AOutput,
    timeline,
    out_dir: Path,
    cancelled: Callable[[], bool] = never,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[Progress | Result]:
    """Level, measure, draw and write all takes into `out_dir`; the last item is the `Result`."""
    from stav2a.output import Progress

    start, before_s = time.perf_counter(), sum(job.stages.values())
    before_s -= sum(job.stages.get(stage, 0.0) for stage in ("load", "wait"))
    result = _result(job, output, timeline, out_dir)
    settings = result.settings
    with written_together(out_dir) as folder, ThreadPoolExecutor(1) as background:
        yield Progress("mux", 0, 1)

        def put_sound(take: Take) -> None:
            mode = "mix" if settings.original_audio == "mix" else "replace"
            part = (mode, settings.original_gain_db, settings.start_s, settings.length_s)
            target = folder / take.video.name
            mux(job.path, take.waveform, result.sample_rate, target, *part, limits, cancelled)

        def put_sounds() -> None:
            with job.timed("mux"):
                for take in result.takes:
                    put_sound(take)

        muxing = background.submit(put_sounds)  # ffmpeg works beside the measuring and drawing
        try:
            yield Progress("measure", 0, 1)
            with job.timed("measure"):
                result = _measured(result, job, timeline)
            stop_if(cancelled)
            yield Progress("figure", 0, 1)
            with job.timed("figure"):
                _write_files(result, folder)
        finally:
            muxing.result()
        stop_if(cancelled)
        yield Progress("bundle", 0, 1)
        with job.timed("bundle"):
            write_bundle(folder / result.bundle.name, sorted(folder.iterdir()))
        stop_if(cancelled)
    seconds = before_s + time.perf_counter() - start
    yield replace(result, stages=dict(job.stages), seconds=seconds, rtf=seconds / result.duration_s)


def _result(job: Job, output: STAV2AOutput, timeline, out_dir: Path) -> Result:
    """The run as far as the model has made it, sound brought to length and level."""
    duration_s, rate = job.clip.duration_s, output.sample_rate
    samples = round(duration_s * rate)
    stem = safe_stem(job.path) + "_sound"
    takes = []
    for k, (seed, waveform, mel) in enumerate(zip(output.seeds, output.waveforms, output.mels, strict=True), 1):
        waveform = np.pad(waveform[:samples], (0, max(0, samples - len(waveform))))
        if not np.isfinite(waveform).all():
            raise InputError("The model gave no usable sound with these settings; lower the guidance scale.")
        name = stem if len(output.seeds) == 1 else f"{stem}_{k}"
        leveled = fit_loudness(waveform, rate, job.settings.loudness_lufs)
        takes.append(Take(seed, out_dir / f"{name}.mp4", out_dir / f"{name}.wav", leveled, mel, []))
    used = output.settings
    prompt = used.get("prompt", job.settings.prompt)  # a system may find or reword the caption
    caption = Caption(prompt, "model") if prompt and job.caption.source == "none" else job.caption
    return Result(
        clip=job.path,
        settings=replace(
            job.settings,
            prompt=prompt,
            steps=used["num_inference_steps"],
            guidance_scale=used["guidance_scale"],
            video_guidance_scale=used["video_guidance_scale"],
            sampler=used["sampler"],
        ),
        seed=job.settings.seed,
        takes=takes,
        onset_curve=output.onset_curve,
        predicted_onsets_s=[float(t) for t in output.predicted_onsets_s],
        onsets_s=[float(t) for t in output.onsets_s],
        original_waveform=job.original,
        original_onsets_s=None,
        duration_s=duration_s,
        sample_rate=rate,
        step_s=timeline.step_s,
        bundle=out_dir / f"{stem}.zip",
        dtype=output.dtype,
        layout=None if output.layout is None else np.asarray(output.layout, np.float32),
        predicted_layout=output.predicted_layout,
        caption_source=caption.source,
        seen=caption.seen,
    )


def _measured(result: Result, job: Job, timeline) -> Result:
    from stav2a.metrics.flow import flow_magnitude, flow_peaks
    from stav2a.metrics.onsets import detect_onsets

    peaks = flow_peaks(flow_magnitude(job.clip.frames), timeline.fps)
    rate, original = result.sample_rate, job.original
    takes, measures = [], []
    for take in result.takes:
        heard = detect_onsets(take.waveform, rate)
        figure = take.video.with_name("figure.png" if not takes else f"figure_{len(takes) + 1}.png")
        takes.append(replace(take, onsets_s=[float(t) for t in heard], figure=figure))
        sound = (take.waveform, rate, heard, result.onsets_s, result.duration_s)
        measures.append(measure(*sound, original, peaks, timeline.fps))
    own = None if original is None else [float(t) for t in detect_onsets(original, rate)]
    return replace(result, takes=takes, measures=measures, original_onsets_s=own)


def _write_files(result: Result, folder: Path) -> None:
    """Everything but the videos."""
    from stav2a.generation.figure import clip_figure, to_png

    for k, take in enumerate(result.takes):
        write_wav(folder / take.audio.name, take.waveform, result.sample_rate)
        (folder / take.figure.name).write_bytes(to_png(clip_figure(result, k)))
    (folder / "settings.json").write_text(result.settings.to_json() + "\n", encoding="utf-8")
    (folder / "onsets.json").write_text(result.onsets_json() + "\n", encoding="utf-8")


def stop_if(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise Cancelled
