"""`python -m stav2a data shelf BANK`: choose recordings of the bank's training split, and pack them as the shelf.

Open licences only. Classes take turns, the one with the fewest bytes first, until the size is reached; within a class
captions take turns, and takes of one instrument stay together. The same bank gives the same files.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np

from stav2a.data.soundbank import SAMPLE_RATE, Entry, SoundBank
from stav2a.media.audio import loudness_lufs
from stav2a.recordings.attacks import attacks
from stav2a.recordings.names import names_of
from stav2a.recordings.phrases import bare
from stav2a.recordings.shelf import Recording, Shelf

MOST_A_CLASS = 24
LONGEST_S = {"oneshot": 2.5, "multi": 3.0, "texture": 4.6}
FADE_S = 0.2  # where a recording is cut


def build(bank: str | Path, out: str | Path, size_mb: float, kbps: int = 24) -> Shelf:
    """Write the shelf; `out` must be empty or a shelf, which is replaced."""
    out = Path(out)
    if out.exists() and any(out.iterdir()) and not (out / "index.csv").is_file():
        raise ValueError(f"{out} holds other files; give an empty folder.")
    source = SoundBank(bank, "train", "open")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".shelf-") as folder:
        made = Path(folder) / "shelf"
        recordings = sorted(packed(source, made, round(size_mb * 1e6), kbps), key=lambda r: r.path)
        write_index(made, recordings)
        if out.exists():
            shutil.rmtree(out)
        made.rename(out)
    return Shelf(out)


def packed(bank: SoundBank, folder: Path, size: int, kbps: int) -> Iterator[Recording]:
    """Encode recordings of all classes in turn, as many as fit into `size` bytes."""
    queues = {name: ranked(bank.by_class(name))[:MOST_A_CLASS] for name in bank.classes}
    used: Counter[str] = Counter(dict.fromkeys(queues, 0))
    while queues:
        name = min(queues, key=lambda cls: (used[cls], cls))
        entry = queues[name].pop(0)
        if not queues[name]:
            del queues[name]
        waveform = cut(bank.load(entry), entry.kind)
        path = folder / Path(entry.path).parent.name / (Path(entry.path).stem + ".opus")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_opus(path, waveform, kbps)
        if used.total() + path.stat().st_size > size:
            path.unlink()
            return
        used[name] += path.stat().st_size
        yield described(entry, path.relative_to(folder), read(path))


def described(entry: Entry, path: Path, waveform: np.ndarray) -> Recording:
    """The index's row of a recording as it sounds after encoding."""
    return Recording(
        path=path.as_posix(),
        cls=entry.cls,
        kind=entry.kind,
        caption=entry.caption,
        material=entry.material,
        duration_s=round(len(waveform) / SAMPLE_RATE, 3),
        attacks_s=() if entry.kind == "texture" else tuple(round(t, 3) for t in attacks(waveform, SAMPLE_RATE)),
        loudness_lufs=round(loudness_lufs(waveform, SAMPLE_RATE), 1),
        licence=entry.licence,
        author=" ".join(entry.author.split()),
        source=entry.source,
        original=entry.original,
        group=entry.group,
    )


def ranked(entries: list[Entry]) -> list[Entry]:
    """Captions take turns, those with the most recordings first; up to two takes of an instrument a turn."""
    by_caption: dict[str, list[Entry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda e: (e.group, e.path)):
        by_caption[entry.caption].append(entry)
    queues = [rest for _, rest in sorted(by_caption.items(), key=lambda item: (-len(item[1]), item[0]))]
    order = []
    while queues:
        for queue in queues:
            first = queue.pop(0)
            order.append(first)
            match = next((k for k, other in enumerate(queue) if other.group == first.group), None)
            if match is not None and first.kind != "texture":
                order.append(queue.pop(match))
        queues = [queue for queue in queues if queue]
    return order


def cut(waveform: np.ndarray, kind: str) -> np.ndarray:
    """At most LONGEST_S, with a fade where it was cut."""
    samples = round(LONGEST_S[kind] * SAMPLE_RATE)
    if len(waveform) <= samples:
        return waveform
    part = waveform[:samples].copy()
    if kind != "texture":
        fade = round(FADE_S * SAMPLE_RATE)
        part[-fade:] *= np.cos(np.linspace(0, np.pi / 2, fade, dtype=np.float32))
    return part


def write_opus(path: Path, waveform: np.ndarray, kbps: int) -> None:
    """The same bytes for the same sound."""
    from stav2a.media.ffmpeg import binary

    command = [
        binary(), "-y", "-v", "error", "-f", "f32le", "-ar", str(SAMPLE_RATE), "-ac", "1", "-i", "-",
        "-c:a", "libopus", "-b:a", f"{kbps}k", "-application", "audio",
        "-fflags", "+bitexact", "-flags:a", "+bitexact", str(path),
    ]  # fmt: skip
    made = subprocess.run(
        command, input=np.ascontiguousarray(waveform, "<f4").tobytes(), capture_output=True, check=False
    )
    if made.returncode:
        raise RuntimeError(f"ffmpeg could not write {path.name}: {made.stderr.decode(errors='replace')[-300:]}")


def read(path: Path) -> np.ndarray:
    import soundfile

    return soundfile.read(path, dtype="float32")[0]


def write_index(folder: Path, recordings: list[Recording]) -> None:
    """index.csv, captions.safetensors and CREDITS.md."""
    from safetensors.numpy import save_file

    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Recording)], lineterminator="\n")
        table.writeheader()
        table.writerows(recording.row() for recording in recordings)
    captions = list(dict.fromkeys(recording.caption for recording in recordings))
    names = list(names_of({recording.cls for recording in recordings}))
    stored = {"embeddings": embedded(captions), "names": embedded(names)}
    save_file({key: found.astype(np.float16) for key, found in stored.items()}, folder / "captions.safetensors")
    (folder / "CREDITS.md").write_text(credits(recordings), encoding="utf-8")


def embedded(captions: list[str]) -> np.ndarray:
    """MiniLM sentence embeddings of captions without counts: float32 [N, 384], unit length."""
    from stav2a.condition import text

    tokenizer, encoder = text.load_minilm()
    return text.sentence_embeddings(tokenizer, encoder, [bare(caption) for caption in captions]).numpy()


def credits(recordings: list[Recording]) -> str:
    """Who made what, under which licence, by source: what CC BY and MIT ask to be said."""
    total_s = sum(recording.duration_s for recording in recordings)
    lines = [
        "# Credits of the shelf",
        "",
        f"{len(recordings)} recordings, {total_s / 60:.0f} minutes. Each was made mono, resampled to 16 kHz, cut, "
        "faded and coded as Opus. The table of files, authors and licences is `index.csv`.",
    ]
    by_source: dict[tuple[str, str], list[Recording]] = defaultdict(list)
    for recording in recordings:
        by_source[recording.source, recording.licence].append(recording)
    for (source, licence), found in sorted(by_source.items()):
        lines += ["", f"## {source}, {licence}: {len(found)} recordings", ""]
        works: dict[str, list[str]] = defaultdict(list)
        for recording in found:
            works[recording.author or "author not named"].append(recording.original or Path(recording.path).name)
        lines += [f"- {author}: {', '.join(sorted(set(names)))}" for author, names in sorted(works.items())]
    lines += ["", "## Licences", ""]
    known = {recording.licence for recording in recordings}
    lines += [f"- {licence}: {LICENCES.get(licence, 'see the source')}" for licence in sorted(known)]
    if "MIT" in known:
        lines += ["", "## MIT licence of the recordings named above under it", "", MIT]
    return "\n".join(lines) + "\n"


LICENCES = {
    "CC0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC BY 2.0": "https://creativecommons.org/licenses/by/2.0/",
    "CC BY 3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC BY 4.0": "https://creativecommons.org/licenses/by/4.0/",
    "MIT": "https://opensource.org/license/mit",
    "public domain": "free of rights",
}
MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""
