"""CAVP score (VTA-LDM §4.2): how much alike sound and picture are in the space of a contrastive pre-training.

The encoders are those of the stage `video` (Diff-Foley's losses): of a folder of parts that it has filled. Two scores:
`cavp`, the cosine of the whole clips' features, each the maximum over time as in the semantic contrast; and
`cavp_moments`, the mean cosine of moments, beside that of the same sound rolled in time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stav2a.condition.in_time import fitted, stretched
from stav2a.media.frames import read_for_model
from stav2a.metrics.classifier import Unavailable
from stav2a.models.build import open_video_encoder
from stav2a.presets import timeline_of
from stav2a.sound.audio_encoder import MelEncoder, at_moments
from stav2a.sound.mel import log_mel
from stav2a.weights.digest import digest

MOMENT_S = 0.32


class CAVPScore:
    """parts: folder with `video_encoder` and `audio_encoder`; model: the size whose rates they were trained at."""

    def __init__(self, parts: str, model: str = "compact"):
        folder = Path(parts)
        for name in ("video_encoder", "audio_encoder"):
            if not (folder / name / "config.json").is_file():
                raise Unavailable(f"CAVP score: {parts} has no {name}; `train video` makes it.")
        self.video_encoder = open_video_encoder(folder / "video_encoder").eval()
        self.audio_encoder = MelEncoder.from_pretrained(folder / "audio_encoder").eval()
        if self.audio_encoder.config.seen_with != digest(self.video_encoder):
            raise Unavailable(f"CAVP score: the video encoder in {parts} was trained on since.")
        self.timeline = timeline_of(model)
        self.sample_rate = self.timeline.sample_rate

    @torch.no_grad()
    def encode_video(self, video: Path, duration_s: float) -> Tensor:
        """Features of the video's first seconds at every latent frame: Tensor[1, T, D]."""
        frames = torch.from_numpy(read_for_model(video, self.timeline, 0.0, duration_s).frames)
        seen = self.video_encoder(frames.permute(3, 0, 1, 2)[None].float() / 255, normalize=False)
        return stretched(seen, self.timeline.latent_rate / self.timeline.fps)

    @torch.no_grad()
    def __call__(self, video: Tensor, waveform: np.ndarray, trials: int, seed: int) -> tuple[dict, np.ndarray]:
        """-> {"cavp", "cavp_moments"} of a sound [S] at `sample_rate`, and cavp_moments of `trials` rolls."""
        size = self.timeline.samples_per_latent
        whole = np.pad(waveform, (0, -len(waveform) % size)).astype(np.float32)
        audio = self.audio_encoder(log_mel(torch.from_numpy(whole)[None], self.timeline))
        video = fitted(video, audio.shape[1])
        whole = functional.cosine_similarity(video.amax(1), audio.amax(1)).item()
        count = max(round(audio.shape[1] * self.timeline.latent_frame_s / MOMENT_S), 2)
        moments = [functional.normalize(at_moments(x, count)[0], dim=-1) for x in (video, audio)]
        shifts = np.random.default_rng(seed).integers(1, count, trials)
        rolled = [float((moments[0] * moments[1].roll(int(shift), 0)).sum(1).mean()) for shift in shifts]
        return {"cavp": whole, "cavp_moments": float((moments[0] * moments[1]).sum(1).mean())}, np.array(rolled)
