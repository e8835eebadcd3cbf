"""Write and read onsets as marker files: Audacity labels, Reaper's region/marker list, MIDI, marker EDL.

Times are seconds from the start of the used part. Audacity, Reaper and MIDI store them to the millisecond or finer, an
EDL in whole frames.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stav2a.media.limits import InputError

MAX_BYTES = 2_000_000
MAX_MARKERS = 10_000
LAST_S = 86_400.0
EDL_START_S = 3600  # editors' timelines begin at 01:00:00:00
MIDI_TEMPO = 500_000  # microseconds per beat
MIDI_TICKS = 5_000  # per beat: 0.1 ms each
MIDI_NOTE = 60
MIDI_NOTE_S = 0.05
_TIMECODE = r"\d{2}:\d{2}:\d{2}[:;]\d{2,3}"
_EVENT = re.compile(rf"^\d+\s+\S+\s+\S+\s+\S+\s+(?:{_TIMECODE}\s+){{2}}({_TIMECODE})\s+({_TIMECODE})")
_FRAME_RATE = re.compile(r"^\*\s*FRAME RATE:\s*([\d.]+)", re.IGNORECASE)
_EDL_NAME = re.compile(r"\|M:([^|]*)")


@dataclass(frozen=True)
class Marker:
    """A point in time, or a region if `end_s` is given; strength in (0, 1], 1 is the strongest."""

    time_s: float
    name: str = "hit"
    end_s: float | None = None
    strength: float = 1.0


def of_onsets(onsets_s: Sequence[float], name: str = "hit") -> list[Marker]:
    return [Marker(float(time), f"{name} {k}") for k, time in enumerate(onsets_s, 1)]


def write_markers(path: str | Path, markers: Sequence[Marker], kind: str | None = None, fps: float = 25.0) -> Path:
    """Write a file of `kind` (one of KINDS, by default from the suffix). `fps` is the clip's frame rate, for EDL."""
    path = Path(path)
    kind = kind or kind_of(path)
    if kind not in KINDS:
        raise InputError(f"There is no marker format {kind!r}; there are {', '.join(KINDS)}.")
    path.write_bytes(bytes_of(markers, kind, fps))
    return path


def bytes_of(markers: Sequence[Marker], kind: str, fps: float = 25.0) -> bytes:
    """The content of a file of one of KINDS."""
    return KINDS[kind].write(sorted(markers, key=lambda m: m.time_s), fps)


def read_markers(path: str | Path, kind: str | None = None, fps: float = 25.0) -> list[Marker]:
    """Markers of a file, in ascending order; `InputError` if it cannot be read."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"The marker file cannot be read: {(error.strerror or 'error').lower()}.") from error
    return markers_in(data, path.name, kind, fps)


def markers_in(data: bytes, name: str, kind: str | None = None, fps: float = 25.0) -> list[Marker]:
    """`read_markers` for the content of a file; without `kind`, the suffix of `name` decides."""
    kind = kind or kind_of(Path(name))
    if kind not in KINDS:
        raise InputError(f"There is no marker format {kind!r}; there are {', '.join(KINDS)}.")
    if len(data) > MAX_BYTES:
        raise InputError(f"The marker file is larger than {MAX_BYTES // 1_000_000} MB.")
    markers = KINDS[kind].read(data, fps)
    if len(markers) > MAX_MARKERS:
        raise InputError(f"The marker file holds {len(markers)} markers; at most {MAX_MARKERS} are accepted.")
    for marker in markers:
        if not 0 <= marker.time_s <= LAST_S:
            raise InputError(f"A marker lies at {marker.time_s:g} s; it must lie between 0 and {LAST_S:g}.")
    return sorted(markers, key=lambda m: m.time_s)


def kind_of(path: Path) -> str:
    """The format for a file's suffix."""
    for kind, form in KINDS.items():
        if path.suffix.lower() in form.suffixes:
            return kind
    known = ", ".join(suffix for form in KINDS.values() for suffix in form.suffixes)
    raise InputError(f"Markers are read and written as {known}, not as {path.suffix or 'a file without suffix'!s}.")


def _write_audacity(markers: Sequence[Marker], fps: float) -> bytes:
    ends = [m.time_s if m.end_s is None else m.end_s for m in markers]
    lines = (f"{m.time_s:.6f}\t{end:.6f}\t{_clean(m.name)}\n" for m, end in zip(markers, ends, strict=True))
    return "".join(lines).encode()


def _read_audacity(data: bytes, fps: float) -> list[Marker]:
    markers = []
    for line in _text(data).splitlines():
        if not line.strip() or line.startswith("\\"):  # a line of spectral limits follows its label
            continue
        cells = line.split("\t")
        start = _seconds(cells[0])
        end = _seconds(cells[1]) if len(cells) > 1 else start
        markers.append(Marker(start, _clean(cells[2]) if len(cells) > 2 else "hit", end if end > start else None))
    return markers


def _write_reaper(markers: Sequence[Marker], fps: float) -> bytes:
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["#", "Name", "Start", "End", "Length"])
    for k, marker in enumerate(markers, 1):
        if marker.end_s is None:
            table.writerow([f"M{k}", _clean(marker.name), _minutes(marker.time_s), "", ""])
        else:
            length = _minutes(marker.end_s - marker.time_s)
            table.writerow([f"R{k}", _clean(marker.name), _minutes(marker.time_s), _minutes(marker.end_s), length])
    return out.getvalue().encode()


def _read_reaper(data: bytes, fps: float) -> list[Marker]:
    table = csv.DictReader(io.StringIO(_text(data)))
    names = {(name or "").strip().lower(): name for name in table.fieldnames or ()}
    if "start" not in names:
        raise InputError("The list of markers needs a column named Start, as Reaper's marker manager writes it.")
    markers = []
    try:
        for row in table:
            if not (row[names["start"]] or "").strip():
                continue
            start, end = _seconds(row[names["start"]]), (row.get(names.get("end")) or "").strip()
            name = _clean(row.get(names.get("name")) or "hit")
            markers.append(Marker(start, name, _seconds(end) if end else None))
    except csv.Error as error:
        raise InputError("The list of markers is not valid CSV.") from error
    return markers


def _write_midi(markers: Sequence[Marker], fps: float) -> bytes:
    import mido

    file, track = mido.MidiFile(type=0, ticks_per_beat=MIDI_TICKS), mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=MIDI_TEMPO))
    events = []
    for k, marker in enumerate(markers):
        following = markers[k + 1].time_s if k + 1 < len(markers) else math.inf
        end = min(marker.time_s + MIDI_NOTE_S if marker.end_s is None else marker.end_s, following)
        velocity = min(127, max(1, round(127 * marker.strength)))
        events.append((_ticks(marker.time_s), 1, velocity))
        events.append((max(_ticks(end), _ticks(marker.time_s) + 1), 0, 0))
    now = 0
    for at, on, velocity in sorted(events):
        track.append(mido.Message("note_on" if on else "note_off", note=MIDI_NOTE, velocity=velocity, time=at - now))
        now = at
    out = io.BytesIO()
    file.save(file=out)
    return out.getvalue()


def _read_midi(data: bytes, fps: float) -> list[Marker]:
    import mido

    try:
        file, now, markers = mido.MidiFile(file=io.BytesIO(data)), 0.0, []
        for message in file:
            now += message.time
            if message.type == "note_on" and message.velocity > 0:
                markers.append(Marker(round(now, 6), "hit", strength=message.velocity / 127))
    except (OSError, EOFError, ValueError, TypeError, KeyError, IndexError) as error:
        raise InputError("The file is no MIDI file that can be read.") from error
    return markers


def _write_edl(markers: Sequence[Marker], fps: float) -> bytes:
    lines = ["TITLE: onsets", "FCM: NON-DROP FRAME", f"* FRAME RATE: {fps:g}", ""]
    for k, marker in enumerate(markers, 1):
        first = round(marker.time_s * fps)
        length = 1 if marker.end_s is None else max(1, round(marker.end_s * fps) - first)
        span = f"{_timecode(first, fps)} {_timecode(first + length, fps)}"
        lines.append(f"{k:03d}  001      V     C        {span} {span}  ")
        name = _clean(marker.name).replace("|", " ")
        lines += [f" |C:ResolveColorBlue |M:{name} |D:{length}", ""]
    return "\n".join(lines).encode()


def _read_edl(data: bytes, fps: float) -> list[Marker]:
    spans: list[tuple[int, int, str]] = []
    for line in _text(data).splitlines():
        if rate := _FRAME_RATE.match(line.strip()):
            fps = float(rate[1])
        elif event := _EVENT.match(line.strip()):
            spans.append((_frames(event[1], fps), _frames(event[2], fps), "hit"))
        elif spans and (name := _EDL_NAME.search(line)):
            spans[-1] = (*spans[-1][:2], _clean(name[1].strip()))
    if not spans:
        raise InputError("The file holds no events of a CMX 3600 edit decision list.")
    start = round(EDL_START_S * round(fps))
    offset = start if all(first >= start for first, _, _ in spans) else 0
    return [
        Marker((a - offset) / fps, name, (b - offset) / fps if b - a > 1 else None)
        for a, b, name in spans
    ]  # fmt: skip


def _timecode(frame: int, fps: float) -> str:
    """Non-drop timecode of the frame, counted from EDL_START_S."""
    base = round(fps)
    seconds, rest = divmod(frame + EDL_START_S * base, base)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{rest:02d}"


def _frames(timecode: str, fps: float) -> int:
    hours, minutes, seconds, frames = (int(part) for part in re.split("[:;]", timecode))
    return (3600 * hours + 60 * minutes + seconds) * round(fps) + frames


def _minutes(seconds: float) -> str:
    """minutes:seconds, as Reaper shows and reads times."""
    thousandths = round(seconds * 1000)
    return f"{thousandths // 60_000}:{thousandths // 1000 % 60:02d}.{thousandths % 1000:03d}"


def _seconds(text: str) -> float:
    """ "75.5", "1:15.5" or "0:01:15.5" in seconds."""
    try:
        value = 0.0
        for part in text.strip().split(":"):
            value = 60 * value + float(part)
    except ValueError as error:
        raise InputError(f"{text.strip()[:40]!r} is no time; give seconds or minutes:seconds.") from error
    if not math.isfinite(value):
        raise InputError(f"{text.strip()[:40]!r} is no time; give seconds or minutes:seconds.")
    return value


def _ticks(seconds: float) -> int:
    return round(seconds * MIDI_TICKS * 1_000_000 / MIDI_TEMPO)


def _clean(name: str) -> str:
    """One printable line of at most 200 characters."""
    return "".join(c if c.isprintable() else " " for c in name).strip()[:200] or "hit"


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("The marker file is not a text file.") from error


@dataclass(frozen=True)
class Kind:
    title: str
    suffixes: tuple[str, ...]
    write: Callable[[Sequence[Marker], float], bytes]
    read: Callable[[bytes, float], list[Marker]]


KINDS = {
    "audacity": Kind("Audacity labels", (".txt",), _write_audacity, _read_audacity),
    "reaper": Kind("Reaper regions and markers", (".csv",), _write_reaper, _read_reaper),
    "midi": Kind("MIDI notes", (".mid", ".midi"), _write_midi, _read_midi),
    "edl": Kind("Marker EDL (DaVinci Resolve)", (".edl",), _write_edl, _read_edl),
}
