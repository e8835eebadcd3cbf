"""Paths of shipped files: weights and examples (`assets/`), training settings (`configs/`).

A checkout has both folders beside the package, a wheel inside it (`stav2a/_files`).
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent
ROOT = PACKAGE.parent if (PACKAGE.parent / "assets").is_dir() else PACKAGE / "_files"
ASSETS = ROOT / "assets"


def shipped(path: str | Path) -> Path:
    """`path` if it exists, else what ships under that name, such as `configs/compact/v2a.yaml`."""
    path = Path(path)
    return ROOT / path if not path.exists() and (ROOT / path).exists() else path
