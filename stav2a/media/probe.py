"""What a file really contains: streams from ffmpeg's report, times from the packets, never from the header alone."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stav2a.media import ffmpeg
from stav2a.media.limits import DEFAULT_LIMITS, InputError, Limits

ACCEPTED = "mp4, mov, mkv, webm, avi, mpg, ts, ogv, wmv, flv, mxf and gif"
STREAM = re.compile(r"^ {2,4}Stream #0:(\d+)(?:\[0x[0-9a-f]+\])?(?:\([^)\s]*\))?: (\w+): (.*)$")
PICTURE = re.compile(r", (\w+)(?:\(([^)]*)\))?, (\d+)x(\d+)")
ROTATION = re.compile(r"^ +display ?matrix: rotation of (-?[\d.]+) degrees", re.I)
NO_TIME = (b"NOPTS", b"-9223372036854775808")
UNINDEXED = ("mpeg", "flv")  # formats without an index: seeking in them is unreliable
LEAD_IN_S = 2.0  # decoded before a chosen start, for the picture already on screen and for the codec's state
WIDE = {"smpte2084": "pq", "arib-std-b67": "hlg", "bt2020": "bt2020"}  # by ffmpeg's names; the first match counts
PICTURES = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
}

MOST_PROBED = 256


@dataclass(frozen=True)
class AudioTrack:
    """One sound track of a file; `stream` is its index in the file."""

    stream: int
    channels: int
    rate: int
    default: bool = False


@dataclass(frozen=True)
class ClipInfo:
    """The first real video stream (cover pictures do not count) and the sound tracks.

    `duration_s` runs from time zero (the start of the earliest stream, as in players) to the end of the last picture;
    `start_s` is the time of the first picture. `width` and `height` are those after rotation. `frames` is the
    number of stored pictures, `fps` their mean rate.
    """

    container: str
    codec: str
    pixel_format: str
    width: int
    height: int
    rotation: int
    fps: float
    frames: int
    duration_s: float
    start_s: float
    hdr: str = ""  # "pq", "hlg", "bt2020" (wide colours without HDR), or "" for ordinary video
    full_range: bool = False
    interlaced: bool = False
    audio: tuple[AudioTrack, ...] = ()  # only tracks that can be decoded

    @property
    def has_audio(self) -> bool:
        return bool(self.audio)

    def track(self, number: int | None = None) -> AudioTrack:
        """A sound track, counted from 1 in the order of the file; None is the one that players choose."""
        if number is None:
            return next((track for track in self.audio if track.default), self.audio[0])
        if not 1 <= number <= len(self.audio):
            count = "one audio track" if len(self.audio) == 1 else f"{len(self.audio)} audio tracks"
            raise InputError(f"The clip has {count}; there is no track {number}.")
        return self.audio[number - 1]

    @property
    def pixels(self) -> int:
        return self.width * self.height

    def seek(self, start_s: float) -> tuple[list[str], float]:
        """Input options that seek to just before `start_s`, and the seconds from there to `start_s`."""
        lead_s = start_s if self.container in UNINDEXED else min(start_s, LEAD_IN_S)
        return ["-ss", f"{start_s - lead_s:.6f}"] if start_s > lead_s else [], lead_s


_PROBED: dict[tuple, ClipInfo] = {}


def probe(path: str | Path, limits: Limits = DEFAULT_LIMITS, cancelled: Callable[[], bool] | None = None) -> ClipInfo:
    """Inspect the file at `path` without decoding pictures; `InputError` if it cannot be used."""
    with ffmpeg.open_source(path, limits) as source:
        return probe_source(source, limits, cancelled)


def probe_source(source: ffmpeg.InputFile, limits: Limits, cancelled: Callable[[], bool] | None = None) -> ClipInfo:
    key = (source.identity, limits)
    if (info := _PROBED.get(key)) is None:  # a run probes a clip several times: for frames, for sound and for muxing
        info = _inspect(source, limits, cancelled)
        _PROBED[key] = info
        while len(_PROBED) > MOST_PROBED:
            _PROBED.pop(next(iter(_PROBED)), None)
    return info


def _inspect(source: ffmpeg.InputFile, limits: Limits, cancelled: Callable[[], bool] | None) -> ClipInfo:
    # listing the packets reads the whole file but decodes nothing: true times at the speed of the disk
    listing = ["-map", "0:V:0?", "-c", "copy", "-f", "framecrc", "pipe:1", *ffmpeg.ONE_ZERO]
    arguments = ["-loglevel", "info", *source.arguments(limits), *listing]
    with ffmpeg.start(arguments, fds=source.fds, timeout_s=limits.timeout_s, cancelled=cancelled) as run:
        pictures = _Pictures()
        for line in run.lines():
            pictures.note(line)
            if len(pictures.shown) > limits.stored:
                raise InputError(f"The file holds more than {limits.stored:,} pictures, too many for a clip.")
        run.finish()
    report = run.messages
    if "Input #0" not in report:
        raise InputError(_why_unreadable(source, report))
    return _describe(report, pictures, limits)


def _describe(report: str, pictures: _Pictures, limits: Limits) -> ClipInfo:
    stream = None
    rotation = 0.0
    audio: list[AudioTrack] = []
    has_sound = False
    inside = False  # within the lines of the chosen video stream
    opened = re.search(r"^Input #0, (.*?), from ", report, re.M)
    container = opened[1] if opened else ""
    for line in report.partition("\nOutput #0")[0].split("\n"):
        if match := STREAM.match(line):
            index, kind, text = match.groups()
            inside = False
            if kind == "Video" and stream is None and "(attached pic)" not in text:
                stream, inside = text, True
            elif kind == "Audio":
                has_sound = True
                audio += _audio_track(int(index), text)
        elif inside and (match := ROTATION.match(line)):
            rotation = float(match.group(1))
    if stream is None:
        what = "only sound" if has_sound else "no video stream"
        raise InputError(f"The file holds {what}; a clip with pictures is needed.")
    shape = PICTURE.search(stream)
    if shape is None:
        raise InputError("The file's pictures have no size and cannot be decoded.")
    pixel_format, colour, width, height = shape[1], shape[2] or "", int(shape[3]), int(shape[4])
    if width * height > limits.pixels:
        raise InputError(
            f"Its pictures have {width}×{height} pixels ({width * height / 1e6:.1f} million); "
            f"at most {limits.pixels / 1e6:.1f} million are accepted."
        )
    first_s, end_s, frames = pictures.span()
    _refuse_truncated(report, end_s)
    if frames == 0:
        raise InputError("The file holds no pictures.")
    if frames == 1:
        raise InputError("The file holds a single picture; a clip needs at least two.")
    if round(rotation) % 180 == 90:
        width, height = height, width
    return ClipInfo(
        container=container,
        codec=stream.split(" ")[0].rstrip(","),
        pixel_format=pixel_format,
        width=width,
        height=height,
        rotation=round(rotation) % 360,
        fps=frames / max(end_s - first_s, 1e-6),
        frames=frames,
        duration_s=end_s,
        start_s=first_s,
        hdr=next((name for mark, name in WIDE.items() if mark in colour), ""),
        full_range="pc" in colour.split(", "),
        interlaced=re.search(r"\b(top|bottom)\b.* first", colour) is not None,
        audio=tuple(audio),
    )


def _audio_track(stream: int, text: str) -> list[AudioTrack]:
    """The track from ffmpeg's description, e.g. "aac (LC), 44100 Hz, 5.1, fltp"; [] if it cannot be decoded."""
    match = re.search(r", (\d+) Hz, ([^,]+)", text)
    if match is None or text.startswith(("none", "unknown")):
        return []
    layout = match.group(2).split("(")[0]
    if counted := re.match(r"(\d+) channels", layout):
        channels = int(counted.group(1))
    else:
        named = {"mono": 1, "stereo": 2, "quad": 4}.get(layout)
        channels = named or sum(map(int, re.findall(r"\d+", layout))) or 2
    return [AudioTrack(stream, channels, int(match.group(1)), "(default)" in text)]


@dataclass
class _Pictures:
    """Decoding times, presentation times and durations of the stored pictures, in ticks, from a `framecrc` listing."""

    tick_s: float = 0.0
    decoded: array[int] = field(default_factory=lambda: array("q"))
    shown: array[int] = field(default_factory=lambda: array("q"))
    lengths: array[int] = field(default_factory=lambda: array("q"))
    delay: int | None = None  # presentation minus decoding time of the first picture that has both
    untimed: bool = False

    def note(self, line: bytes) -> None:
        """Read one line of the listing."""
        if line.startswith(b"#"):
            if base := re.match(rb"#tb 0: (\d+)/(\d+)", line):
                self.tick_s = int(base[1]) / int(base[2])
            return
        cells = [cell.strip() for cell in line.split(b",")]
        if len(cells) < 6 or cells[0] != b"0":
            return
        flags = next((int(cell[2:], 16) for cell in cells[6:] if cell.startswith(b"F=")), 1)
        if flags & 4:  # outside the file's edit list: decoded but never shown
            return
        decoded, shown = (None if cell in NO_TIME else int(cell) for cell in cells[1:3])
        if decoded is not None and shown is not None and self.delay is None:
            self.delay = shown - decoded
        self.untimed |= shown is None
        known = shown if decoded is None else decoded
        if known is not None:
            self.decoded.append(known)
            self.shown.append(known if shown is None else shown)
            self.lengths.append(int(cells[3]))

    def span(self) -> tuple[float, float, int]:
        """First and last time in seconds, and the number of pictures."""
        if not self.shown or not self.tick_s:
            return 0.0, 0.0, 0
        # program streams store presentation times of some pictures only; all are the decoding times plus the delay
        times = np.array(self.decoded, np.float64) + (self.delay or 0) if self.untimed else np.array(self.shown, float)
        last = int(times.argmax())
        gaps = np.diff(np.unique(times))
        usual = float(np.median(gaps)) if len(gaps) else 0.0
        end = times[last] + (self.lengths[last] if self.lengths[last] > 0 else usual)
        return max(0.0, float(times.min() * self.tick_s)), max(0.0, float(end * self.tick_s)), len(times)


def _refuse_truncated(report: str, end_s: float) -> None:
    if re.search(r"partial file|File ended prematurely|[Tt]runcat", report):
        stated = re.search(r"^  Duration: (\d+):(\d+):([\d.]+)", report, re.M)
        of = ""
        if stated:
            total = int(stated[1]) * 3600 + int(stated[2]) * 60 + float(stated[3])
            of = f" of {total:.1f} s" if total > end_s else ""
        raise InputError(f"The file is incomplete: only {end_s:.1f} s{of} can be read.")


def _why_unreadable(source: ffmpeg.InputFile, report: str) -> str:
    """One sentence about a file that has no accepted container format."""
    with open(source.path, "rb") as file:
        head = file.read(4096)
    for magic, name in PICTURES.items():
        if head.startswith(magic):
            return f"This is a {name} picture; a video is needed."
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "This is a WebP picture; a video is needed."
    if "moov atom not found" in report:
        return "The file is incomplete: its index (moov atom) is missing."
    if head.startswith((b"#EXTM3U", b"ffconcat", b"<?xml", b"v=0")):
        return "This is a playlist or a text file; a video file is needed."
    try:
        head.decode("utf-8")
        return "This is a text file; a video file is needed."
    except UnicodeDecodeError as error:
        if error.start > len(head) - 4 and b"\0" not in head:  # the head only ends within a character
            return "This is a text file; a video file is needed."
    return f"The file is not a video that can be read; accepted are {ACCEPTED}."
