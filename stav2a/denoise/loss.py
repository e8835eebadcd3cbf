"""The diffusion loss (paper eq. 6), for ε- and v-prediction, with optional Min-SNR weights, and attention under it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from diffusers import SchedulerMixin
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel


def signal_to_noise(scheduler: SchedulerMixin, timesteps: Tensor) -> Tensor:
    """ᾱ_t / (1 - ᾱ_t): Tensor[B]."""
    alphas = scheduler.alphas_cumprod.to(timesteps.device)[timesteps]
    return alphas / (1 - alphas)


def target(scheduler: SchedulerMixin, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """What the network predicts: ε, or v = √ᾱ ε - √(1-ᾱ) z_0. Tensor[B, C, T, F]."""
    kind = scheduler.config.prediction_type
    if kind == "epsilon":
        return noise
    if kind == "v_prediction":
        return scheduler.get_velocity(latents, noise, timesteps)
    raise ValueError(f"prediction_type is {kind!r}; the loss knows epsilon and v_prediction.")


def diffusion_loss(
    scheduler: SchedulerMixin, prediction: Tensor, wanted: Tensor, timesteps: Tensor, snr_gamma: float | None
) -> Tensor:
    """Mean squared error, each sample weighted by min(snr, γ) / snr where γ is given (the authors' form).

    prediction, wanted: Tensor[B, C, T, F]; timesteps: int64 Tensor[B]. Returns a scalar.
    """
    error = (prediction.float() - wanted.float()).square().mean((1, 2, 3))
    if snr_gamma is not None:
        snr = signal_to_noise(scheduler, timesteps)
        error = error * (snr_gamma / snr).clamp(max=1)  # the same ratio, defined where the signal is gone too
    return error.mean()


def learning_attention(device: torch.device) -> AbstractContextManager:
    """On CPUs the backward pass of fused attention takes two to three times as long as the plain one's for sequences
    as short as these; on other devices torch chooses.
    """
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
