"""Write the files of a run: sound at the right length and level, video, measures and figure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stav2a.generation.export import export
from stav2a.generation.read import ClipInput
from stav2a.generation.result import Result, Take, measure, usable, write_bundle, written_together
from stav2a.generation.settings import TRACKS
from stav2a.media import Limits, fit_loudness, mux
from stav2a.media.clip_files import safe_stem
from stav2a.media.limits import DEFAULT_LIMITS, never, stop_if
from stav2a.media.mux import keep_tracks
from stav2a.media.sound_files import write_sound
from stav2a.output import Progress, Stopwatch

if TYPE_CHECKING:
    from stav2a.output import STAV2AOutput
    from stav2a.timeline import Timeline


def write(
    source: ClipInput,
    output: STAV2AOutput,
    timeline: Timeline,
    out_dir: Path,
    cancelled: Callable[[], bool] = never,
    limits: Limits = DEFAULT_LIMITS,
    drawn: bool = True,
) -> Iterator[Progress | Result]:
    """Level, write, measure and draw all takes in `out_dir`; drawn: see `generation.generate.generate`.

    Yields a `Result` when it can be played, and the complete one at the end.
    """
    start, watch = time.perf_counter(), Stopwatch()
    before = {**source.watch.seconds, **output.seconds}
    yield Progress("level")
    with watch.stage("level"):
        result = _result(source, output, timeline, out_dir)

    def timed(result: Result) -> Result:
        """The result with the seconds up to now."""
        seconds = sum(before.values()) + time.perf_counter() - start
        stages = {**before, **watch.seconds}
        return replace(result, stages=stages, seconds=seconds, rtf=seconds / result.duration_s)

    with written_together(out_dir) as folder, ThreadPoolExecutor(1) as beside:
        yield Progress("mux")
        measuring = beside.submit(_measured, result, source, timeline)  # ffmpeg works beside it
        with watch.stage("mux"):
            _write_sounds(result, source, folder.hidden, cancelled, limits)
        stop_if(cancelled)
        folder.show()
        result = timed(result)
        yield (result := replace(result, playable_s=result.seconds))
        yield Progress("measure")
        with watch.stage("measure"):
            result = replace(measuring.result(), playable_s=result.playable_s)
        stop_if(cancelled)
        if drawn:
            yield Progress("figure")
            with watch.stage("figure"):
                _write_rest(result, source, timeline, folder.hidden, cancelled, limits)
            stop_if(cancelled)
            yield Progress("bundle")
            with watch.stage("bundle"):
                assert result.bundle is not None
                write_bundle(folder.hidden / result.bundle.name, folder.files())
            stop_if(cancelled)
        else:
            result = replace(result, takes=[replace(take, figure=None) for take in result.takes], bundle=None)
    yield timed(result)


def _write_sounds(
    result: Result, source: ClipInput, folder: Path, cancelled: Callable[[], bool], limits: Limits
) -> None:
    """Sound files and clips of all takes."""
    settings = result.settings
    mode = "mix" if settings.original_audio == "mix" else "replace"
    part = (mode, settings.original_gain_db, settings.start_s, settings.length_s)
    for take in result.takes:
        write_sound(folder / take.audio.name, take.waveform, result.sample_rate, settings.audio_rate)
        if source.path is not None and take.video is not None:
            target = folder / take.video.name
            mux(source.path, take.waveform, result.sample_rate, target, *part, limits, cancelled, settings.audio_track)


CREDITS = "These recordings are in the sound, or it was made from them. Name their authors where you use it."


def _result(source: ClipInput, output: STAV2AOutput, timeline: Timeline, out_dir: Path) -> Result:
    """The result before measuring: sound cut to length and set to its level."""
    duration_s, rate = source.duration_s, output.sample_rate
    samples = round(duration_s * rate)
    stem = safe_stem(source.name) + "_sound"
    takes = []
    for k, (seed, waveform, mel) in enumerate(zip(output.seeds, output.waveforms, output.mels, strict=True), 1):
        waveform = usable(np.pad(waveform[:samples], (0, max(0, samples - len(waveform)))))
        name = stem if len(output.seeds) == 1 else f"{stem}_{k}"
        leveled = fit_loudness(waveform, rate, source.settings.loudness_lufs)
        video = None if source.path is None else out_dir / f"{name}.mp4"
        audio = out_dir / f"{name}.{source.settings.audio_format}"
        credits = output.credits[k - 1] if output.credits else ()
        takes.append(Take(seed, video, audio, leveled, mel, [], credits=credits))
    used = output.settings
    prompt = used["prompt"]  # a system may find or reword the caption
    found = prompt != source.settings.prompt
    caption = replace(source.caption, text=prompt, source="model") if found else source.caption
    return Result(
        clip=source.picture or source.path,
        settings=replace(
            source.settings,
            prompt=prompt,
            steps=used["num_inference_steps"],
            guidance_scale=used["guidance_scale"],
            video_guidance_scale=used["video_guidance_scale"],
            sampler=used["sampler"],
            strength=used["strength"],
        ),
        seed=source.settings.seed,
        takes=takes,
        onset_curve=output.onset_curve,
        predicted_onsets_s=[float(t) for t in output.predicted_onsets_s],
        onsets_s=[float(t) for t in output.onsets_s],
        original_waveform=source.original,
        original_onsets_s=None,
        duration_s=duration_s,
        sample_rate=rate,
        latent_frame_s=timeline.latent_frame_s,
        bundle=out_dir / f"{stem}.zip",
        dtype=output.dtype,
        layout=None if output.layout is None else np.asarray(output.layout, np.float32),
        predicted_layout=output.predicted_layout,
        caption_source=caption.source,
        seen=caption.seen,
        caption_note=caption.note,
    )


def _measured(result: Result, source: ClipInput, timeline: Timeline) -> Result:
    from stav2a.metrics.flow import flow_magnitude, flow_peaks
    from stav2a.sound.onsets import detect_onsets

    rate, clip, original = result.sample_rate, source.clip, source.original
    peaks, own = None, None
    if clip is not None:
        peaks = source.once("flow", lambda: flow_peaks(flow_magnitude(clip.frames), timeline.fps))
    if original is not None:
        heard_in = ("onsets", result.settings.audio_track)
        own = source.once(heard_in, lambda: [float(t) for t in detect_onsets(original, rate)])
    takes: list[Take] = []
    measures = []
    for take in result.takes:
        onsets_s = [float(t) for t in detect_onsets(take.waveform, rate)]
        figure = take.audio.with_name("figure.png" if not takes else f"figure_{len(takes) + 1}.png")
        takes.append(replace(take, onsets_s=onsets_s, figure=figure))
        measures.append(
            measure(take.waveform, rate, onsets_s, result.onsets_s, result.duration_s, own, peaks, timeline.fps)
        )
    return replace(result, takes=takes, measures=measures, original_onsets_s=own)


def _write_rest(
    result: Result,
    source: ClipInput,
    timeline: Timeline,
    folder: Path,
    cancelled: Callable[[], bool],
    limits: Limits,
) -> None:
    """All files except the sounds and the clips with them."""
    from stav2a.generation.figure import clip_figure, to_png

    settings = result.settings
    fps = timeline.fps if source.clip is None else source.clip.info.fps
    for k, take in enumerate(result.takes):
        assert take.figure is not None
        (folder / take.figure.name).write_bytes(to_png(clip_figure(result, k)))
        export(
            folder, take.audio.stem, take.waveform, result.sample_rate, result.onsets_s or take.onsets_s,
            settings.exports, fps, settings.audio_format, settings.audio_rate,
        )  # fmt: skip
        if TRACKS in settings.exports and source.picture is None and take.video is not None:
            assert source.path is not None
            keep_tracks(source.path, take.video, folder / f"{take.video.stem}.mkv", limits, cancelled)
    if credits := list(dict.fromkeys(credit for take in result.takes for credit in take.credits)):
        (folder / "credits.txt").write_text("\n".join([CREDITS, *credits]) + "\n", encoding="utf-8")
    (folder / "settings.json").write_text(settings.to_json() + "\n", encoding="utf-8")
    (folder / "onsets.json").write_text(result.onsets_json() + "\n", encoding="utf-8")
