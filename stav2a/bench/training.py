"""One step of the joint training (stage `v2a`) of a model: forwards, backwards and AdamW, on latents that are there."""

from __future__ import annotations

import copy

import torch

from stav2a.bench.measure import Cost, cost
from stav2a.bench.stages import CAPTION
from stav2a.denoise.sample import Guidance, predict


def training_cost(pipe, batch: int, seconds: float, dtype: torch.dtype = torch.float32) -> Cost:
    """Cost of a step with `batch` stretches of `seconds`; weights are fp32, products in `dtype` (autocast).

    What is computed once a clip (pictures, captions, latents) is left out, as cached features leave it out.
    """
    timeline, device = pipe.timeline, pipe.device
    multiple = pipe.latent_multiple
    length = -(-timeline.latent_length(seconds) // multiple) * multiple
    networks = torch.nn.ModuleList([copy.deepcopy(pipe.unet), copy.deepcopy(pipe.controlnet)]).float().train()
    unet, controlnet = networks.requires_grad_(True)
    optimizer = torch.optim.AdamW(networks.parameters(), lr=1e-5)
    frames = torch.zeros(
        round(seconds * timeline.fps), timeline.frame_size, timeline.frame_size, 3, dtype=torch.uint8
    ).numpy()
    with torch.no_grad():
        conditions = pipe.extract(pipe.encode_video(frames), CAPTION).repeat(batch).to(device, torch.float32)
    shape = (batch, timeline.latent_channels, length, timeline.latent_bins)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
    timesteps = torch.full((batch,), 500, device=device)

    def step() -> None:
        with torch.enable_grad(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            prediction = predict(unet, controlnet, latents, timesteps, conditions.window(0, length), Guidance())
            loss = (prediction.float() - latents).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return cost(step, str(device))
