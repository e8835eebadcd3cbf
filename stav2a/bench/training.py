"""One step of the joint training (stage `v2a`) of a model: forwards, backwards and AdamW, on latents that are there."""

from __future__ import annotations

import copy

import torch

from stav2a.bench.measure import Cost, cost
from stav2a.bench.networks import inputs
from stav2a.denoise.loss import learning_attention
from stav2a.denoise.sample import Guidance, predict


def training_cost(pipe, batch: int, seconds: float, dtype: torch.dtype = torch.float32) -> Cost:
    """Cost of a step with `batch` stretches of `seconds`; weights are fp32, products in `dtype` (autocast).

    What is computed once a clip (pictures, captions, latents) is left out, as cached features leave it out.
    """
    device = pipe.device
    networks = torch.nn.ModuleList([copy.deepcopy(pipe.unet), copy.deepcopy(pipe.controlnet)]).float().train()
    unet, controlnet = networks.requires_grad_(True)
    optimizer = torch.optim.AdamW(networks.parameters(), lr=1e-5, fused=True)
    _, conditions, latents = inputs(pipe, seconds, batch)
    conditions, latents = conditions.to(device, torch.float32), latents.float()
    timesteps = torch.full((batch,), 500, device=device)

    def step() -> None:
        with torch.enable_grad(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            with learning_attention(device):
                prediction = predict(unet, controlnet, latents, timesteps, conditions, Guidance())
            loss = (prediction.float() - latents).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return cost(step, str(device))
