"""Where the files that ship beside the code are: weights and examples (`assets/`), training settings (`configs/`).

A checkout holds both folders beside the package; a wheel carries them inside it, in `stav2a/_files`.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent
ROOT = PACKAGE.parent if (PACKAGE.parent / "assets").is_dir() else PACKAGE / "_files"
ASSETS = ROOT / "assets"


def shipped(path: str | Path) -> Path:
    """`path` where it exists, else the file of that name that ships with the package: `configs/compact/v2a.yaml`."""
    path = Path(path)
    return ROOT / path if not path.exists() and (ROOT / path).is_file() else path
