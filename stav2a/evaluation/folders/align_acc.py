"""Alignment accuracy (Diff-Foley; Table I of TA-V2A): the share of clips whose sound a classifier finds in time.

The classifier is TA-V2A's of eq. 11 (`train alignment`), asked about clean latents: do these and this picture belong
together? Its chance level is what it says of the same sound rolled in time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stav2a.media.frames import read_for_model
from stav2a.metrics.classifier import Unavailable
from stav2a.sound import vae as mel_vae
from stav2a.sound.mel import log_mel


class AlignAcc:
    """checkpoint: a model by name, or a folder, whose system has an alignment classifier."""

    def __init__(self, checkpoint: str = "ta-v2a"):
        from stav2a.pipeline import STAV2APipeline

        try:
            self.pipe = STAV2APipeline.from_pretrained(checkpoint)
        except (ValueError, OSError) as error:
            raise Unavailable(f"Align Acc: {error}") from error
        if not hasattr(self.pipe.system, "aligner"):
            raise Unavailable(f"Align Acc: {checkpoint} has no alignment classifier; `train alignment` makes one.")
        self.sample_rate = self.pipe.timeline.sample_rate

    @torch.no_grad()
    def encode_video(self, video: Path, duration_s: float) -> Tensor:
        """E_v of the video's first `duration_s` seconds: Tensor[T, C]."""
        return self.pipe.encode_video(read_for_model(video, self.pipe.timeline, 0.0, duration_s).frames).features[0]

    @torch.no_grad()
    def __call__(self, seen: Tensor, waveform: np.ndarray, trials: int, seed: int) -> tuple[dict, np.ndarray]:
        """-> {"align_acc": 1 if a sound [S] at `sample_rate` is found in time, else 0}, the same of `trials` rolls."""
        timeline = self.pipe.timeline
        missing = -len(waveform) % timeline.samples_per_latent
        mel = log_mel(torch.from_numpy(np.pad(waveform, (0, missing)).astype(np.float32))[None], timeline)
        latents = mel_vae.encode(self.pipe.vae, mel[:, None])
        steps = min(latents.shape[2], len(seen))
        latents, seen = latents[:, :, :steps], seen[:steps]
        own = self._judged(latents, seen)
        shifts = np.random.default_rng(seed).integers(max(steps // 4, 1), max(steps * 3 // 4, 2), trials)
        rolled = [self._judged(latents.roll(int(shift), 2), seen) for shift in shifts]
        return {"align_acc": own}, np.array(rolled)

    def _judged(self, latents: Tensor, seen: Tensor) -> float:
        """The mean logit over windows as long as in training, above zero or not."""
        size = min(int(self.pipe.defaults.get("window_steps") or latents.shape[2]), latents.shape[2])
        count = -(-latents.shape[2] // size)
        starts = [round(k * (latents.shape[2] - size) / max(count - 1, 1)) for k in range(count)]
        windows = torch.cat([latents[:, :, start : start + size] for start in starts])
        pictures = torch.stack([seen[start : start + size] for start in starts])
        times = torch.zeros(count, device=windows.device)
        return float(self.pipe.system.aligner(windows, times, pictures).mean() > 0)
