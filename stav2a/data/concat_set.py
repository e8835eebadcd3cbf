"""A test set of clips joined in pairs, like VTA-LDM's (appendix E).

Each clip is the beginning of one video and, after a cut, a part of another with another caption: does the sound change
with the picture?
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stav2a.media.audio import read_audio
from stav2a.media.frames import read_frames
from stav2a.media.limits import InputError
from stav2a.media.probe import probe
from stav2a.media.write_clip import write_clip

from .listing import MediaSource

SAMPLE_RATE = 44_100
EARLIEST, LATEST = 0.25, 0.75  # share of a clip that its cut lies in
COLUMNS = ("file", "caption", "cut_s", "first", "first_start_s", "second", "second_start_s")


def concat_set(
    sources: list[MediaSource], out: Path, count: int, duration_s: float, fps: float, size: int, seed: int
) -> tuple[list[dict], dict[str, str]]:
    """Write `count` clips to `out`; -> their rows of captions.csv, and why sources were left out, by name.

    Clip k is the same for the same sources and seed.
    """

    lengths: dict[str, float] = {}
    skipped: dict[str, str] = {}

    def length_s(source: MediaSource) -> float:
        """Seconds that can be used of a source; 0 and a line in `skipped` where it cannot be."""
        if source.name not in lengths:
            try:
                if source.trouble:
                    raise InputError(source.trouble)
                info = probe(source.path)
                if not info.has_audio:
                    raise InputError("The video has no sound.")
                stop = info.duration_s if source.duration_s is None else source.start_s + source.duration_s
                lengths[source.name] = min(info.duration_s, stop) - source.start_s
                if lengths[source.name] < duration_s * LATEST:
                    raise InputError(f"It is shorter than {duration_s * LATEST:g} s.")
            except (InputError, OSError) as error:
                lengths[source.name], skipped[source.name] = 0.0, str(error)
        return 0.0 if source.name in skipped else lengths[source.name]

    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for k in range(count):
        rng = np.random.default_rng([seed, k])
        order = rng.permutation(len(sources))
        first = next((sources[i] for i in order if length_s(sources[i])), None)
        second = next((s for s in (sources[i] for i in order) if first and differs(s, first) and length_s(s)), None)
        if second is None:
            raise InputError("Two usable videos with different captions are needed to join.")
        cut_s = round(rng.uniform(EARLIEST, LATEST) * duration_s * fps) / fps
        parts, starts = [], []
        for source, part_s in ((first, cut_s), (second, duration_s - cut_s)):
            start_s = source.start_s + rng.uniform(0, max(length_s(source) - part_s, 0.0))
            parts.append(stretch(source, start_s, part_s, fps, size))
            starts.append(round(float(start_s), 4))
        frames, waveform = (np.concatenate([part[n] for part in parts]) for n in (0, 1))
        file = out / f"concat_{k:05d}.mp4"
        write_clip(file, frames, fps, waveform, SAMPLE_RATE)
        caption = ", then ".join(filter(None, (first.caption, second.caption)))
        values = (file.name, caption, round(cut_s, 4), first.name, starts[0], second.name, starts[1])
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows, skipped


def differs(one: MediaSource, other: MediaSource) -> bool:
    """Whether two sources are of different events: other files, and other captions where both have one."""
    same_caption = one.caption and one.caption.strip().lower() == other.caption.strip().lower()
    return one.path != other.path and not same_caption


def stretch(
    source: MediaSource, start_s: float, length_s: float, fps: float, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [T_v, size, size, 3] and float32 [S] of exactly `length_s`; the last picture fills what is missing."""
    frames = read_frames(source.path, fps, size, start_s, length_s).frames
    wanted = round(length_s * fps)
    frames = frames[np.minimum(np.arange(wanted), len(frames) - 1)]
    return frames, read_audio(source.path, SAMPLE_RATE, start_s, length_s)
