"""The parity table in Markdown: `PYTHONPATH=. python tests/helpers/parity.py` runs the golden tests.

It then lists every comparison, one row a stored tensor of the authors' code: the largest absolute error of ours and
the tolerance that it must keep.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from golden import Golden

from stav2a.sound.mel import log_mel
from stav2a.timeline import PAPER

HERE = Path(__file__).parent
GOLDENS = HERE.parents[2] / "shared" / "goldens"


def log_mel_rows() -> list[tuple[str, str, float, str]]:
    """Ours leaves out the centred transform's one extra frame, so the 100 frames that both have are compared."""
    case = Golden(GOLDENS, "vae_vocoder")
    mel = log_mel(case["stft_wave"][None], PAPER)
    stored = {"log_mel": case["log_mel"].transpose(1, 2)[:, :100], "padded_104": case["padded_104"][:, :100]}
    limit = str({"rtol": 1e-4, "atol": 1e-4})
    return [("vae_vocoder", name, (mel - value).abs().max().item(), limit) for name, value in stored.items()]


def main() -> int:
    if not GOLDENS.is_dir():
        print(f"There are no golden numbers at {GOLDENS}.", file=sys.stderr)
        return 2
    status = int(
        pytest.main([str(HERE.parent / "model" / "test_goldens.py"), "-p", "no:cacheprovider", "-q", "--timeout=3000"])
    )
    with torch.no_grad():
        rows = [*Golden.parity, *log_mel_rows()]
    print("\n| case | tensor | max abs error | tolerance |\n|---|---|---|---|")
    for case, name, error, limit in rows:
        print(f"| {case} | {name} | {error:.1e} | {limit.strip('{}').replace(chr(39), '')} |")
    return status


if __name__ == "__main__":
    sys.exit(main())
