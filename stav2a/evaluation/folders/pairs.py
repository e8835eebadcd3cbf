"""Files of an evaluation: which belong together, and reading their sound."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stav2a.data.listing import read_rows

SOUND_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a")
VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
CONTAINER_RATE = 44_100  # Hz that the sound of a video container is decoded at
CLIPPED_SHARE = 0.01
SILENT_PEAK = 1e-4


@dataclass(frozen=True)
class Pair:
    """A reference sound and a generated one, with caption, class and video of their clip if known."""

    stem: str
    reference: Path
    generated: Path
    video: Path | None = None
    caption: str | None = None
    cls: str | None = None


def find_pairs(
    reference: str | Path,
    generated: str | Path,
    videos: str | Path | None = None,
    captions: str | Path | None = None,
) -> tuple[list[Pair], list[dict[str, str]]]:
    """Pairs by file stem, and what was left out: [{"file", "reason"}]. Sound files go before containers."""
    folders = [Path(folder) for folder in (reference, generated, *([videos] if videos else []))]
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"There is no folder {folder}.")
    references = by_stem(folders[0], SOUND_SUFFIXES + VIDEO_SUFFIXES)
    generations = by_stem(folders[1], SOUND_SUFFIXES + VIDEO_SUFFIXES)
    pictures = by_stem(folders[2], VIDEO_SUFFIXES) if videos else {}
    texts = read_captions(captions) if captions else {}

    pairs, skipped = [], []
    for stem in sorted(references.keys() | generations.keys()):
        if stem not in generations:
            skipped.append({"file": references[stem].name, "reason": "no generated file of this name"})
        elif stem not in references:
            skipped.append({"file": generations[stem].name, "reason": "no reference file of this name"})
        else:
            caption, cls = texts.get(stem, (None, None))
            pairs.append(Pair(stem, references[stem], generations[stem], pictures.get(stem), caption, cls))
            if videos and stem not in pictures:
                skipped.append({"file": generations[stem].name, "reason": "no video of this name: no AV-Align"})
    return pairs, skipped


def by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Files of a folder by stem; of several with one stem, the one whose suffix comes first."""
    files = [path for path in folder.iterdir() if path.suffix.lower() in suffixes and not path.name.startswith(".")]
    files.sort(key=lambda path: suffixes.index(path.suffix.lower()), reverse=True)
    return {path.stem: path for path in files}


def read_captions(path: str | Path) -> dict[str, tuple[str | None, str | None]]:
    """stem -> (caption, class) from JSON {stem: caption}, or CSV or JSONL with `file` or `stem`, `caption`, `class`.

    The manifest of `data render` is such a JSONL; its class is called `cls`.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        texts = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(texts, dict):
            raise ValueError(f"{path.name} must hold an object of captions by file stem.")
        return {Path(stem).stem: (str(text), None) for stem, text in texts.items()}
    if path.suffix.lower() == ".jsonl":
        rows = read_rows(path)
    else:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    key = next((name for name in ("stem", "file", "path") if rows and all(name in row for row in rows)), None)
    if key is None:
        raise ValueError(f"{path.name} needs a column `stem` or `file`.")
    return {
        Path(row[key]).stem: (row.get("caption") or None, row.get("class") or row.get("cls") or None) for row in rows
    }


def read_sound(path: Path) -> tuple[np.ndarray, int, list[str]]:
    """(mono float32 [S], sample rate, remarks) of a file; raises ValueError with one sentence."""
    import soundfile

    try:
        waveform, rate = soundfile.read(path, dtype="float32", always_2d=True)
        waveform = waveform.mean(axis=1)
    except soundfile.LibsndfileError:  # a container, or broken
        from stav2a.media.audio import read_audio

        rate = CONTAINER_RATE
        waveform = read_audio(path, rate)
        if waveform is None:
            raise ValueError(f"{path.name} has no sound.") from None
    if not waveform.size:
        raise ValueError(f"{path.name} holds no samples.")
    remarks = []
    finite = np.isfinite(waveform)
    if not finite.all():
        remarks.append(f"{(~finite).sum()} samples are not finite and count as 0")
        waveform = np.where(finite, waveform, 0.0).astype(np.float32)
    peak = float(np.abs(waveform).max())
    if peak < SILENT_PEAK:
        remarks.append("silent")
    elif (np.abs(waveform) >= 0.999).mean() > CLIPPED_SHARE:
        remarks.append("clipped")
    return waveform, rate, remarks
