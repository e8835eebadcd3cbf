"""Kinds and sizes of audio layouts: TiVA's low-resolution mel, or the curves of its Table 3.

Axes in addition to the package's: M layout rows, C layout bands.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .onset import pick_onsets

ROWS, BANDS = 102, 5  # for a window of 1024 mel frames (§4.1.1)
STEPS = 256  # latent frames of that window
QUIETEST, LOUDEST = -11.6, 3.0  # natural-log mel values that Norm of eq. 1 maps to 0 and 1
KINDS = ("mel", "odf", "onset", "none")
LARGEST_FLUX = 0.5  # of the scaled mel from one frame to the next, over all bands: a hit after silence
LEAST_FLUX = 0.1  # of an onset, as a share of the largest
MEL_STEP_S = 0.01


@dataclass(frozen=True)
class LayoutKind:
    """kind: "mel" (t_a of eq. 1), "odf" (the onset detection function), "onset" (1 where it has a peak), "none";
    rows: layout rows for 256 latent frames; bands: of a mel, the curves have one.

    Sizes [1020, 64], [510, 32], [102, 5] are those of TiVA's Fig. 5.
    """

    kind: str = "mel"
    rows: int = ROWS
    bands: int = BANDS

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"layout is {self.kind!r}; it must be one of {', '.join(KINDS)}.")
        if self.rows < 1 or self.bands < 1:
            raise ValueError(f"A layout needs at least one row and one band, not {self.rows} and {self.bands}.")

    @property
    def is_curve(self) -> bool:
        return self.kind in ("odf", "onset")

    @property
    def channels(self) -> int:
        """C: bands of the layout."""
        return 1 if self.is_curve else self.bands

    def rows_of(self, steps: int) -> int:
        """Rows that cover `steps` latent frames: 102 for 256."""
        return max(1, round(steps * self.rows / STEPS))

    def of(self, mel: Tensor, steps: int) -> Tensor:
        """Log-mel Tensor[B, M_mel, mel_bins] -> Tensor[B, M, C] in [0, 1]."""
        rows, scaled = self.rows_of(steps), ((mel - QUIETEST) / (LOUDEST - QUIETEST)).clamp(0, 1)
        if self.kind == "mel":  # eq. 1: Resize(Norm(mel))
            return functional.interpolate(scaled[:, None], (rows, self.bands), mode="area")[:, 0]
        curve = detection_function(scaled)
        if self.kind == "onset":
            curve = peaks(curve)
        return functional.adaptive_max_pool1d(curve[:, None], rows)[:, 0, :, None]  # max pooling keeps the peaks


def detection_function(scaled: Tensor) -> Tensor:
    """Rise in energy from one mel frame to the next (spectral flux): Tensor[B, M_mel, bins] -> [B, M_mel]."""
    rise = functional.pad(scaled.diff(dim=1).clamp(min=0), (0, 0, 1, 0))
    return (rise.mean(2) / LARGEST_FLUX).clamp(0, 1)


def peaks(curve: Tensor) -> Tensor:
    """1 in the mel frames with an onset of the curve, else 0: Tensor[B, M_mel] -> the same shape."""
    found = torch.zeros_like(curve)
    for row, values in zip(found, curve.detach().float().cpu().numpy(), strict=True):
        times = pick_onsets(values, MEL_STEP_S, LEAST_FLUX)
        row[[min(int(time / MEL_STEP_S), curve.shape[1] - 1) for time in times]] = 1
    return found
