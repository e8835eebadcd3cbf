"""Picture and sound share one zero of time in every container, wherever each begins.

A flash and a beep, both 0.52 s after the start of their own stream, are stored in each container with the streams at
known offsets. Frames, sound, mixed clips and the labels of `data prepare` must show them where the container says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from stav2a.data.listing import MediaSource
from stav2a.data.prepare import Maker, PrepareSettings
from stav2a.media import mux, probe, read_audio, read_frames
from tests.helpers.clips import run_ffmpeg

AT_S = 0.52  # a time of a picture at 25 fps
FRAME_S = 0.04
TOLERANCE_S = 0.005
LATE_S = 0.4
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "12", "-pix_fmt", "yuv420p")
MPEG2 = ("-c:v", "mpeg2video", "-bf", "2", "-g", "12", "-q:v", "2")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "500k")
PICTURE = f"color=black:size=64x64:rate=25:duration=1,drawbox=enable='gte(t,{AT_S - 0.001})':color=white:t=fill"
SOUND = f"aevalsrc='if(gte(t,{AT_S}),0.5*sin(2*PI*1000*t),0)':s=48000:d=1"


@dataclass(frozen=True)
class Row:
    """A container and what is stored in it; `start_s` is the first time stamp of the file, 95,443.6 s near a wrap."""

    suffix: str
    coding: tuple[str, ...]
    start_s: float = 0.0
    pictures: int = 25


ROWS = {
    "ts": Row(".ts", (*H264, "-c:a", "aac"), 95_443.0),  # 33 bits of 90 kHz wrap within the clip
    "ts-mpeg2": Row(".ts", (*MPEG2, "-c:a", "mp2"), 3.0),
    "mpg": Row(".mpg", (*MPEG2, "-c:a", "mp2"), 3.0),  # a time stamp a packet, not a picture
    "vob": Row(".vob", (*MPEG2, "-c:a", "ac3")),
    "flv": Row(".flv", ("-c:v", "flv1", "-q:v", "2", "-c:a", "libmp3lame")),
    "flv-h264": Row(".flv", (*H264, "-c:a", "aac"), 3.0),
    "mkv": Row(".mkv", (*H264, "-c:a", "libopus"), 3.0),
    "mov": Row(".mov", (*H264, "-c:a", "pcm_s16le")),
    "mp4": Row(".mp4", (*H264, "-c:a", "aac"), 3.0),
    "webm": Row(".webm", (*VP9, "-c:a", "libopus")),
}


@pytest.fixture(scope="module", params=ROWS)
def stored(request, tmp_path_factory) -> tuple[Row, Path]:
    row = ROWS[request.param]
    base = tmp_path_factory.mktemp(request.param) / f"base{row.suffix}"
    run_ffmpeg("-f", "lavfi", "-i", PICTURE, "-f", "lavfi", "-i", SOUND, *row.coding, "-b:a", "128k", base)
    both = ("-i", base, "-itsoffset", LATE_S, "-i", base)
    copied = ("-c", "copy", "-output_ts_offset", row.start_s)
    late_sound, late_picture = (base.with_name(f"late_{what}{row.suffix}") for what in ("sound", "picture"))
    run_ffmpeg(*both, "-map", "0:v", "-map", "1:a", *copied, late_sound, "-map", "1:v", "-map", "0:a", *copied,
               late_picture)  # fmt: skip
    return row, base


def flash_s(path: Path, **part) -> float:
    frames = read_frames(path, 200, 16, **part).frames.mean((1, 2, 3))
    return int((frames > 128).argmax()) / 200 + part.get("start_s", 0.0)


def beep_s(path: Path, **part) -> float:
    sound = read_audio(path, 16_000, **part)
    return int((np.abs(sound) > 0.1).argmax()) / 16_000 + part.get("start_s", 0.0)


@pytest.mark.parametrize(("late", "apart_s"), [("sound", LATE_S), ("picture", -LATE_S)])
def test_flash_and_beep_are_as_far_apart_as_the_container_says(stored, tmp_path, late, apart_s):
    row, base = stored
    clip = base.with_name(f"late_{late}{row.suffix}")
    flash, beep = flash_s(clip), beep_s(clip)
    assert beep - flash == pytest.approx(apart_s, abs=TOLERANCE_S)
    # the earliest stream begins at the clip's zero, up to the samples that a codec puts in front
    assert min(flash, beep) == pytest.approx(AT_S, abs=0.03)
    assert probe(clip).frames == row.pictures

    part = {"start_s": 0.3, "duration_s": 0.7}
    assert beep_s(clip, **part) - flash_s(clip, **part) == pytest.approx(apart_s, abs=TOLERANCE_S)
    mixed = mux(clip, np.zeros(16_000, np.float32), 16_000, tmp_path / "mixed.mp4", "mix")
    assert flash_s(mixed) == pytest.approx(flash, abs=FRAME_S)
    assert beep_s(mixed) - flash_s(mixed) == pytest.approx(apart_s, abs=TOLERANCE_S)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_what_an_edit_list_leaves_out_is_before_zero(tmp_path, suffix):
    base = tmp_path / f"base{suffix}"
    run_ffmpeg("-f", "lavfi", "-i", PICTURE, "-f", "lavfi", "-i", SOUND, *H264, "-g", "50", "-c:a", "aac", base)
    cut = tmp_path / f"cut{suffix}"
    run_ffmpeg("-ss", 0.2, "-i", base, "-c", "copy", cut)
    assert flash_s(cut) == pytest.approx(AT_S - 0.2, abs=FRAME_S)
    assert beep_s(cut) - flash_s(cut) == pytest.approx(0, abs=TOLERANCE_S)
    assert probe(cut).frames == 20


def test_avi(tmp_path):
    """AVI stores when pictures are decoded, not when they are shown; both streams begin at zero, up to MP3's delay."""
    clip = tmp_path / "clip.avi"
    run_ffmpeg("-f", "lavfi", "-i", PICTURE, "-f", "lavfi", "-i", SOUND, "-c:v", "mpeg4", "-c:a", "libmp3lame", clip)
    assert flash_s(clip) == pytest.approx(AT_S, abs=FRAME_S + TOLERANCE_S)
    assert beep_s(clip) == pytest.approx(AT_S, abs=0.026)


def test_labels_of_prepared_clips_lie_at_the_beep(stored):
    row, base = stored
    clip = base.with_name(f"late_sound{row.suffix}")
    report: list[dict] = []
    maker = Maker(PrepareSettings(keep_filtered=True, least_s=0.5))
    (made,) = maker.clips(0, MediaSource(str(clip), clip.name, "a beep"), report)
    assert not report
    bright = made.frames.mean((1, 2, 3)) > 128
    assert bright.argmax() / maker.timeline.fps == pytest.approx(AT_S, abs=FRAME_S)
    assert made.note["onsets_s"][0] == pytest.approx(AT_S + LATE_S, abs=FRAME_S + TOLERANCE_S)
