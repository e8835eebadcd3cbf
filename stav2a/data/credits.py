"""Who made the recordings and pictures a model was trained on: `python -m stav2a.data.credits BANK [SPRITES]`.

Prints Markdown: sources and licences with counts, then every author whose licence asks to be named.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter, defaultdict
from pathlib import Path

from .soundbank import SoundBank


def credits(bank: str | Path, sprites: str | Path | None = None) -> str:
    """Of the training split under open licences: what `SoundBank(bank, "train")` gives."""
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
        with (Path(sprites) / "manifest.csv").open(newline="", encoding="utf-8") as file:
            rows = Counter((row["source"].split(":")[0], row["licence"]) for row in csv.DictReader(file))
        lines.append("Rendered training clips show cut-out pictures; no picture is part of the weights' files.")
        lines.append("")
        lines += [f"- {source}, {licence}: {count} pictures" for (source, licence), count in sorted(rows.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bank", type=Path)
    parser.add_argument("sprites", type=Path, nargs="?")
    arguments = parser.parse_args()
    print(credits(arguments.bank, arguments.sprites), end="")
