"""Credits of the recordings and pictures of a training set, as Markdown.

Sources and licences with counts, then every author whose licence requires attribution.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

from stav2a.media.limits import InputError

from .soundbank import SoundBank


def credits(bank: str | Path, sprites: str | Path | None = None) -> str:
    """Credits of the training split of a sound bank, open licences only."""
    entries = SoundBank(bank, "train").entries
    lines = ["# Credits", "", f"{len(entries)} recordings of the sound bank's training split, open licences only.", ""]
    lines += ["| source | licence | recordings |", "| --- | --- | ---: |"]
    for (source, licence), count in sorted(Counter((e.source, e.licence) for e in entries).items()):
        lines.append(f"| {source} | {licence} | {count} |")
    authors: dict[tuple[str, str], set[str]] = defaultdict(set)
    for entry in entries:
        if entry.licence.startswith("CC BY") or entry.licence == "MIT":
            authors[entry.licence, entry.source].add(" ".join(entry.author.split()) or "unnamed")
    lines += ["", "## Authors to be named", ""]
    for (licence, source), names in sorted(authors.items()):
        lines.append(f"- {source} ({licence}): {', '.join(sorted(names))}")
    if sprites:
        lines += ["", "## Pictures", ""]
        rows = Counter((row["source"].split(":")[0], row["licence"]) for row in pictures(Path(sprites)))
        lines.append("Rendered training clips show cut-out pictures; no picture is part of the weights' files.")
        lines.append("")
        lines += [f"- {source}, {licence}: {count} pictures" for (source, licence), count in sorted(rows.items())]
    return "\n".join(lines) + "\n"


def pictures(folder: Path) -> list[dict[str, str]]:
    """Rows of the manifest of a folder of cut-out pictures."""
    if not (folder / "manifest.csv").is_file():
        raise InputError(f"{folder} holds no manifest.csv with the sources of its pictures.")
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
