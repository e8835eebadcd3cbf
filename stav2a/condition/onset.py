"""Local temporal features (e_lv) and the onset pretext head (paper §II-B1, eq. 1); onset times and onset curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

from .in_time import stretched


class TemporalProjection(nn.Module):
    """Four linear layers with GELU between them: Tensor[B, T_v, D] -> Tensor[B, T_v, width]."""

    def __init__(self, feature_dim: int, hidden: int, width: int):
        super().__init__()
        self.fc1 = nn.Linear(feature_dim, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, width)
        self.fc4 = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.fc1, self.fc2, self.fc3):
            x = functional.gelu(layer(x))
        return self.fc4(x)


class OnsetHead(nn.Module):
    """Tensor[B, T, windows * width] -> local features Tensor[B, T, width], onset logits Tensor[B, T, 2]."""

    def __init__(self, n_in: int, width: int):
        super().__init__()
        self.l1 = nn.Linear(n_in, width)
        self.l2 = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = functional.silu(self.l1(x))
        return hidden, self.l2(hidden)


def expanding_windows(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """`local_windows`: the frame itself, then its means over frames [i-k, i+k) for each k in `sizes`.

    Tensor[B, T_v, W] -> Tensor[B, T_v, (1 + len(sizes)) * W]. Frames outside the clip are left out of the mean.
    """
    streams = [x]
    for k in sizes:
        mean = functional.avg_pool1d(x.transpose(1, 2), 2 * k, 1, padding=k, count_include_pad=False)
        streams.append(mean[..., : x.shape[1]].transpose(1, 2))
    return torch.cat(streams, -1)


class LocalFeatures(ModelMixin, ConfigMixin):
    """`cavp_features` -> `local_features` and `onset_logits` (class 1 is onset)."""

    @register_to_config
    def __init__(
        self,
        feature_dim: int = 512,
        hidden_dim: int = 256,
        local_dim: int = 128,
        windows: tuple[int, ...] = (1, 2, 4, 8),
        steps_per_frame: float = 6.25,
        tail_steps: int = 6,
    ):
        super().__init__()
        self.trans_cvap_feature = TemporalProjection(feature_dim, hidden_dim, local_dim)
        self.pre_onset = OnsetHead((1 + len(windows)) * local_dim, local_dim)

    def forward(self, cavp_features: Tensor) -> tuple[Tensor, Tensor]:
        """Tensor[B, T_v, D] -> Tensor[B, T, local_dim], Tensor[B, T, 2]."""
        windows = expanding_windows(self.trans_cvap_feature(cavp_features), self.config.windows)
        return self.pre_onset(stretched(windows, self.config.steps_per_frame, self.config.tail_steps))


def onset_loss(onset_logits: Tensor, onset_labels: Tensor, onset_weight: float = 1.0) -> Tensor:
    """Eq. 1 as in the authors' code: two-class cross entropy, averaged over all steps. Tensor[B, T, 2], Tensor[B, T].

    `onset_labels`: classes (int64), or an onset curve (float) with the probability of class 1; `onset_weight` is the
    weight of the rare class 1, 1.0 in the paper.
    """
    labels = onset_labels.to(onset_logits.dtype)
    wanted = torch.stack([1 - labels, onset_weight * labels], -1)
    return -(wanted * functional.log_softmax(onset_logits, -1)).sum(-1).mean()


def onset_probability(onset_logits: Tensor) -> Tensor:
    """Tensor[B, T, 2] -> Tensor[B, T] in [0, 1]."""
    return onset_logits.softmax(-1)[..., 1]


def pick_onsets(
    curve: np.ndarray, latent_frame_s: float, threshold: float = 0.5, min_gap_s: float = 0.08
) -> list[float]:
    """Onset times in seconds, ascending: peaks of a curve [T] of at least `threshold`, with sub-step precision.

    If two peaks are closer than `min_gap_s`, the higher one is kept. The refinement weights the two neighbours by their
    height above the lower one. This inverts `onset_curve` exactly; a parabola through three points would be up to 7 ms
    off, because an onset is a triangle in the curve.
    """
    from scipy.signal import find_peaks

    curve = np.nan_to_num(np.asarray(curve, dtype=np.float64))
    padded = np.concatenate([[0.0], curve, [0.0]])  # so that the first and the last step can be peaks
    peaks, _ = find_peaks(padded, height=threshold, distance=max(1, round(min_gap_s / latent_frame_s)))
    times = []
    for peak in peaks:
        left, middle, right = padded[peak - 1 : peak + 2]
        rise = left + middle + right - 3 * min(left, right)
        shift = (right - left) / rise if rise > 0 else 0.0
        times.append(float((peak - 1 + 0.5 + shift) * latent_frame_s))
    return times


def onset_curve(onsets_s: Sequence[float], length: int, latent_frame_s: float) -> np.ndarray:
    """Onset times as a curve, float32 [length] in [0, 1]: each onset is shared between its two nearest steps, sum 1.

    An onset within half a step of an end goes entirely into the outermost step; onsets outside are ignored. Where two
    onsets overlap, the larger value is kept.
    """
    curve = np.zeros(length, np.float32)
    for time in onsets_s:
        if not 0 <= time <= length * latent_frame_s:
            continue
        position = min(max(time / latent_frame_s - 0.5, 0.0), length - 1)
        left = int(position)
        share = position - left
        for step, value in ((left, 1 - share), (left + 1, share)):
            if step < length:
                curve[step] = max(curve[step], value)
    return curve


def onset_labels(onsets_s: Sequence[float], length: int, latent_frame_s: float) -> np.ndarray:
    """Onset times as classes, int64 [length]: 1 in each step that contains an onset."""
    labels = np.zeros(length, np.int64)
    steps = (np.asarray(onsets_s, dtype=np.float64) / latent_frame_s).astype(int)
    labels[steps[(steps >= 0) & (steps < length)]] = 1
    return labels
