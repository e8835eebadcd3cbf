"""Training and validation split of prepared clips, drawn among the accepted ones.

`splits.json` holds the bound of a draw: a source whose list gives it no split is `val` where the digest of its name is
not above it. So all pieces of a video share a split, the draw is the same on every machine, and millions of sources
cost one number.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Iterator
from pathlib import Path

FILE = "splits.json"


class Splits:
    """The splits of a folder of shards; where none were drawn yet every free source is `train`."""

    def __init__(self, folder: str | Path):
        file = Path(folder) / FILE
        self.val_up_to = json.loads(file.read_text())["val_up_to"] if file.is_file() else ""

    def of(self, clip: dict) -> str:
        """The split of a clip's note."""
        if clip["split"]:
            return clip["split"]
        return "val" if mark(clip["source"]) <= self.val_up_to else "train"


def draw_validation(folder: Path, share: float) -> None:
    """Write `splits.json`: `share` of the accepted free sources, at least one of two where it is above 0."""
    count = len(set(accepted(folder)))
    wanted = round(share * count) or (1 if share and count > 1 else 0)
    chosen = heapq.nsmallest(wanted, set(accepted(folder)))
    (folder / FILE).write_text(json.dumps({"validation": share, "val_up_to": chosen[-1] if chosen else ""}))


def accepted(folder: Path) -> Iterator[str]:
    """Marks of the sources without a split that gave a clip which no filter refuses."""
    for index in sorted(folder.glob("shard-*.index.jsonl")):
        with index.open(encoding="utf-8") as lines:
            for line in lines:
                clip = json.loads(line)["clip"]
                if not clip["split"] and not clip["reason"]:
                    yield mark(clip["source"])


def mark(name: str) -> str:
    return hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
