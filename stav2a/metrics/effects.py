"""aiSFX, a network for sound effects, as a listener that has learnt from nothing of this project.

"Representation Learning for the Automatic Indexing of Sound Effects Libraries" (Ma & Lerch, ISMIR 2022), trained on
commercial libraries of sound effects. Its weights (CC BY 4.0) lie in the pip package `aisfx`, so it hears offline. The
package pins old versions of what it does not need here, hence `pip install --no-deps aisfx`.

Letters: N windows, T frames of the window, F mel bands.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

SAMPLE_RATE = 44_100
WINDOW, HOP = 2048, 1024  # samples of the short-time Fourier transform
MEL_BANDS = 96
FRAMES = 100  # of a window, 2.3 s; windows overlap by half
BRIGHTEST = 9.457798957824707  # the largest value of the spectrograms that it was trained on
LIBRARY = "prosfx"  # whose classes are told: the largest of the nine, 78 categories of the Universal Category System


@lru_cache(maxsize=1)
def network() -> Any:
    """The published network (X-Sequential-CE), in eval mode. ImportError without the package."""
    import _codecs

    from aisfx.inference import get_path_modelWeights
    from aisfx.models.cnn2d import CrossNet, EmbeddingNet

    scalar = np.int64(0).__reduce__()[0]  # the counts of classes are numpy scalars, stored under their older address
    plain: list[Any] = [(scalar, "numpy.core.multiarray.scalar"), np.dtype, type(np.dtype("int64")), _codecs.encode]
    with torch.serialization.safe_globals(plain):
        weights, libraries = torch.load(get_path_modelWeights(), map_location="cpu", weights_only=True)
    model = CrossNet(EmbeddingNet("max", 3, 1, 64), libraries, "cpu")
    model.load_state_dict(weights)
    return model.eval()


@torch.no_grad()
def describe(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float [S] at SAMPLE_RATE, of any level -> (embeddings float32 [N, 512], probabilities float32 [78])."""
    embeddings, logits = network()(blocks(spectrogram(waveform)), LIBRARY)
    return embeddings.numpy(), logits.softmax(-1).mean(0).numpy()


def spectrogram(waveform: np.ndarray) -> Tensor:
    """Tensor[T, F] of log10(1 + 10000 · mel power) at peak 1, as Essentia makes it for this network; 0 to about 1."""
    wave = torch.from_numpy(np.asarray(waveform, np.float32) / max(float(np.abs(waveform).max(initial=0.0)), 1e-6))
    window = torch.hann_window(WINDOW, periodic=False)
    spectrum = torch.stft(wave, WINDOW, HOP, window=window, pad_mode="constant", return_complex=True)
    return (1 + 10_000 * (mel_bands() @ spectrum.abs().square())).log10().T / BRIGHTEST


@lru_cache(maxsize=1)
def mel_bands() -> Tensor:
    """Tensor[F, WINDOW / 2 + 1]: triangles on HTK's mel scale up to half the rate, each of sum 1."""
    edges = torch.linspace(0, _mel(torch.tensor(SAMPLE_RATE / 2)).item(), MEL_BANDS + 2)
    bins = _mel(torch.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1))
    width = edges[1] - edges[0]
    bands = (1 - (bins[None] - edges[1:-1, None]).abs() / width).clamp(min=0)
    return bands / bands.sum(1, keepdim=True)


def _mel(hz: Tensor) -> Tensor:
    return 1127.01048 * torch.log1p(hz / 700)


def blocks(spectrum: Tensor) -> Tensor:
    """Tensor[T, F] -> Tensor[N, FRAMES, F], N >= 1; what follows the last whole window is left out."""
    missing = max(0, FRAMES - len(spectrum))
    padded = torch.nn.functional.pad(spectrum, (0, 0, 0, missing))
    return padded.unfold(0, FRAMES, FRAMES // 2).transpose(1, 2)
