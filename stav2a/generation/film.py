"""Clips of any length, and captions by time: part after part, each kept on disk, joined without seams.

Memory does not grow with the length: a part holds at most `scenes.PART_S` seconds, the joined sound lies in a file. A
stopped run goes on with the parts that are missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stav2a.generation.generate import sound_of
from stav2a.generation.read import read
from stav2a.generation.result import rounded, usable
from stav2a.generation.scenes import Part, plan, scene_cuts, timed_captions
from stav2a.generation.settings import Settings
from stav2a.media import InputError, Limits, ffmpeg, probe
from stav2a.media.clip_files import safe_stem
from stav2a.media.frames import used_part
from stav2a.media.limiter import limit
from stav2a.media.limits import DEFAULT_LIMITS, never
from stav2a.media.mux import mux_file
from stav2a.media.still import is_picture
from stav2a.output import Progress

if TYPE_CHECKING:
    from stav2a.generation.engine import Engine

DAY_S = 24 * 3600.0
LIMITS = Limits(duration_s=DAY_S, file_mb=1e6, frames=10**7, stored=10**7, timeout_s=DAY_S)
BLOCK_S = 30.0  # of the joined sound, limited and written at once
HALO_S = 0.5  # of the limiter on both sides of a block


def is_film(clip: Path, settings: Settings, limits: Limits = DEFAULT_LIMITS) -> bool:
    """Whether a clip is made part after part: its caption has times, or it is longer than one pass may be."""
    if timed_captions(settings.prompt) is not None:
        return True
    if is_picture(clip):
        return False
    try:
        info = probe(clip, LIMITS)
        return used_part(info, settings.start_s, settings.length_s, LIMITS) > limits.duration_s
    except InputError:  # said where the clip is read
        return False


def film(
    engine: Engine, clip: Path, settings: Settings, out_dir: Path, cancelled: Callable[[], bool] = never
) -> Iterator[Progress | dict]:
    """Write the clip with sound, the sound, and its onsets into `out_dir`; the last item is the record of the run."""
    started = time.perf_counter()
    settings = settings.validated()
    if settings.takes != 1 or settings.layout is not None or settings.exports:
        raise InputError("A clip made in parts has one take, no audio layout and no exports.")
    used_s = used_part(probe(clip, LIMITS), settings.start_s, settings.length_s, LIMITS)
    yield Progress("scenes")
    spans = timed_captions(settings.prompt)
    cuts = scene_cuts(clip, settings.start_s, used_s, LIMITS, cancelled) if used_s > 1 else []
    parts = plan(used_s, spans or [], cuts, "" if spans else settings.prompt)
    pipeline = engine.pipeline(settings.model)
    rate = pipeline.timeline.sample_rate
    work = out_dir / f".parts-{_digest(clip, settings, parts)}"
    work.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(len(parts)):
        kept = work / f"{number:05d}.npz"
        if not kept.is_file():
            yield from _make(engine, clip, settings, parts, number, used_s, kept, cancelled)
        made.append(kept)
        yield Progress("parts", number + 1, len(parts))
    yield Progress("mux")
    stem = safe_stem(clip) + "_sound"
    joined = _joined(parts, made, used_s, rate, work / "joined.f32")
    audio = _leveled(joined, rate, settings, work / f"{stem}.{settings.audio_format}")
    gain = settings.original_gain_db if settings.original_audio == "mix" else None
    place = (settings.start_s, used_s, LIMITS, cancelled, settings.audio_track)
    video = mux_file(clip, audio, work / f"{stem}.mp4", gain, *place)
    onsets, predicted, captions = _told(made, parts)
    said = [{**asdict(part), "caption": caption} for part, caption in zip(parts, captions, strict=True)]
    (work / "onsets.json").write_text(json.dumps({"onsets_s": onsets, "predicted_onsets_s": predicted}, indent=1))
    (work / "settings.json").write_text(settings.to_json() + "\n", encoding="utf-8")
    for path in (video, audio, work / "onsets.json", work / "settings.json"):
        os.replace(path, out_dir / path.name)
    shutil.rmtree(work)
    seconds = time.perf_counter() - started
    out_video, out_audio = (str(out_dir / path.name) for path in (video, audio))
    take = {"seed": settings.seed, "video": out_video, "audio": out_audio, "figure": None}
    yield {
        "clip": str(clip),
        "out_video": out_video,
        "out_audio": out_audio,
        "duration_s": round(used_s, 6),
        "sample_rate": rate,
        "seed": settings.seed,
        "onsets_s": onsets,
        "parts": said,
        "takes": [take],
        "bundle": None,
        "seconds": round(seconds, 4),
        "rtf": round(seconds / used_s, 4),
        "settings": settings.to_dict(),
    }


def _make(
    engine: Engine,
    clip: Path,
    settings: Settings,
    parts: Sequence[Part],
    number: int,
    used_s: float,
    kept: Path,
    cancelled: Callable[[], bool],
) -> Iterator[Progress]:
    """One part, with what is cross-faded on both sides, as a file that appears whole."""
    first, last = _reach(parts, number, used_s)
    part, pipeline = parts[number], engine.pipeline(settings.model)
    onsets = settings.onsets_s
    mine = None if onsets is None else tuple(t - first for t in onsets if first <= t < last)
    seed = (settings.seed + 1_000_003 * number) % 2**31  # one noise for all would repeat
    asked = replace(
        settings, prompt=part.caption, start_s=settings.start_s + first, length_s=last - first, onsets_s=mine,
        original_audio="replace", seed=seed,
    )  # fmt: skip
    source = read(clip, asked, pipeline, cancelled, LIMITS)
    output = yield from sound_of(source, engine, pipeline, cancelled)
    partial = kept.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            np.savez(
                file, waveform=usable(output.waveforms[0]), onsets_s=np.asarray(output.onsets_s) + first,
                predicted_s=np.asarray(output.predicted_onsets_s) + first, caption=np.array(output.settings["prompt"]),
            )  # fmt: skip
        os.replace(partial, kept)
    finally:
        partial.unlink(missing_ok=True)


def _reach(parts: Sequence[Part], number: int, used_s: float) -> tuple[float, float]:
    """From where to where a part sounds, with half of each cross-fade on either side."""
    after = parts[number + 1].fade_s / 2 if number + 1 < len(parts) else 0.0
    return max(0.0, parts[number].start_s - parts[number].fade_s / 2), min(used_s, parts[number].end_s + after)


def _joined(parts: Sequence[Part], made: Sequence[Path], used_s: float, rate: int, target: Path) -> np.memmap:
    """float32 [S] in a file: the parts, cross-faded at equal power."""
    joined = np.memmap(target, np.float32, "w+", shape=(round(used_s * rate),))
    for number, kept in enumerate(made):
        with np.load(kept) as stored:
            waveform = stored["waveform"].astype(np.float32)
        first, last = (round(time * rate) for time in _reach(parts, number, used_s))
        waveform = np.pad(waveform[: last - first], (0, max(0, last - first - len(waveform))))
        after_s = parts[number + 1].fade_s if number + 1 < len(parts) else 0.0
        for side, fade_s in ((1, parts[number].fade_s), (-1, after_s)):
            count = min(round(fade_s * rate), len(waveform))
            waveform[::side][:count] *= np.sin(np.linspace(0, np.pi / 2, count, dtype=np.float32))
        joined[first : first + len(waveform)] += waveform[: len(joined) - first]
    return joined


def _leveled(joined: np.memmap, rate: int, settings: Settings, target: Path) -> Path:
    """The sound at the asked loudness as a file, block after block."""
    import soundfile
    import soxr

    gain = 1.0
    if settings.loudness_lufs is not None and (own_lufs := _loudness_lufs(joined, rate)) > -60:
        gain = 10 ** ((settings.loudness_lufs - own_lufs) / 20)
    out_rate = settings.audio_rate or rate
    resample = soxr.ResampleStream(rate, out_rate, 1, dtype="float32") if out_rate != rate else None
    block, halo = round(BLOCK_S * rate), round(HALO_S * rate)
    subtype = "PCM_24" if settings.audio_format == "flac" else "PCM_16"
    with soundfile.SoundFile(target, "w", out_rate, 1, subtype, format=settings.audio_format.upper()) as file:
        for start in range(0, len(joined), block):
            left = min(halo, start)
            piece = limit(np.asarray(joined[start - left : start + block + halo]) * np.float32(gain), rate)
            piece = piece[left : left + min(block, len(joined) - start)]
            if resample is not None:
                piece = resample.resample_chunk(piece, last=start + block >= len(joined))
            file.write(np.clip(piece, -1, 1))
    return target


def _loudness_lufs(joined: np.memmap, rate: int) -> float:
    """Integrated loudness (ITU-R BS.1770) of what is too long for memory, by ffmpeg."""
    joined.flush()
    assert joined.filename is not None
    with open(joined.filename, "rb") as file:
        source = ["-f", "f32le", "-ar", str(rate), "-ac", "1", "-i", f"file:/dev/fd/{file.fileno()}"]
        arguments = ["-loglevel", "info", *source, "-af", "ebur128=framelog=quiet", "-f", "null", "-"]
        with ffmpeg.start(arguments, fds=(file.fileno(),), timeout_s=LIMITS.timeout_s) as run:
            run.finish()
            found = re.findall(r"I:\s+(-?[\d.]+|-inf) LUFS", run.messages)
    return float(found[-1]) if found else float("-inf")


def _told(made: Sequence[Path], parts: Sequence[Part]) -> tuple[list[float], list[float], list[str]]:
    """Onsets followed, onsets predicted, and the caption of each part, as its file tells."""
    followed: list[float] = []
    predicted: list[float] = []
    captions = []
    for kept, part in zip(made, parts, strict=True):
        with np.load(kept) as stored:
            for all_of_them, name in ((followed, "onsets_s"), (predicted, "predicted_s")):
                all_of_them += [time for time in stored[name] if part.start_s <= time < part.end_s]
            captions.append(str(stored["caption"]))
    return rounded(followed), rounded(predicted), captions


def _digest(clip: Path, settings: Settings, parts: Sequence[Part]) -> str:
    """Of all that the parts depend on."""
    status = clip.stat()
    asked = [settings.to_dict(), [asdict(part) for part in parts], status.st_size, status.st_mtime_ns]
    return hashlib.blake2b(json.dumps(asked, sort_keys=True).encode(), digest_size=8).hexdigest()
