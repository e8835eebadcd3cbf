"""librosa with its compiled functions, compiled by one process at a time.

numba keeps on disk what it compiles. It reads, changes and writes the index of a file without a lock, so that two
processes which compile librosa for the first time at the same moment can leave an index that names the code of
another type, and every process after them then dies of a segmentation fault.
"""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
from filelock import FileLock

# One file a user: another's may not be opened, and has an environment of its own to guard.
LOCK_FILE = Path(tempfile.gettempdir()) / f"stav2a-numba-{getattr(os, 'getuid', int)()}.lock"


@cache
def librosa() -> ModuleType:
    """The module librosa. Compiles, or reads from disk, what onset detection uses of it, when first called."""
    with FileLock(LOCK_FILE):
        import librosa as module
        from librosa.onset import onset_detect

        onset_detect(onset_envelope=np.eye(1, 32, 9, dtype=np.float32)[0], backtrack=True)
    return module
