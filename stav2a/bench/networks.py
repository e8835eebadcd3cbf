"""Cost of each network of a model."""

from __future__ import annotations

import numpy as np
import torch

from stav2a.bench.measure import Cost, cost
from stav2a.condition import text
from stav2a.denoise.conditions import Conditions
from stav2a.denoise.sample import Guidance, guided
from stav2a.dials import Dials
from stav2a.sound import vae as mel_vae
from stav2a.sound.vocoder import vocode

CAPTION = "a wooden stick hits a table several times"


@torch.no_grad()
def inputs(pipe, seconds: float, batch: int = 1) -> tuple[np.ndarray, Conditions, torch.Tensor]:
    """Frames of a clip of `seconds`, up to one window, with the conditions and the noise of `batch` such clips."""
    timeline = pipe.timeline
    count = round(min(seconds, timeline.video_window_s) * timeline.fps)
    frames = np.random.default_rng(0).integers(0, 255, (count, timeline.frame_size, timeline.frame_size, 3), np.uint8)
    video = pipe.encode_video(frames)
    conditions = pipe.conditions(video, pipe.encode_prompt(CAPTION), Dials()).repeat(batch)
    shape = (batch, timeline.latent_channels, pipe.padded_length(video), timeline.latent_bins)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(pipe.device, pipe.unet.dtype)
    return frames, conditions, latents


@torch.no_grad()
def part_costs(
    pipe, seconds: float, batch: int = 1, guidance: Guidance | None = None, runs: int = 3
) -> dict[str, Cost]:
    """Cost of each network on `batch` clips of `seconds`: one call each, one guided step for the U-Net."""
    device = str(pipe.device)
    frames, conditions, latents = inputs(pipe, seconds, batch)
    mel = mel_vae.decode(pipe.vae, latents)[:, 0]
    guidance = guidance or Guidance()
    parts = {
        "video features": lambda: pipe.encode_video(frames),
        "text": lambda: text.encode(pipe.tokenizer, pipe.text_encoder, [CAPTION, ""]),
        "guided step": lambda: guided(
            pipe.unet, pipe.controlnet, latents, torch.tensor(500, device=device), conditions, guidance
        ),
        "VAE": lambda: mel_vae.decode(pipe.vae, latents),
        "vocoder": lambda: vocode(pipe.vocoder, mel),
    }
    return {name: cost(work, device, runs) for name, work in parts.items()}
