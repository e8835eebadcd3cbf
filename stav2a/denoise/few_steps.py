"""Sampling in one to three steps with a distilled U-Net.

A distilled U-Net makes one step where its teacher makes several guided ones (progressive distillation, Salimans & Ho,
arXiv 2202.00512; distilled guidance, Meng et al., arXiv 2210.03142). The scales of guidance and the timestep to arrive
at are inputs of the network, by diffusers' `time_cond_proj_dim`, so that they stay dials and a step is one pass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from diffusers import DPMSolverMultistepScheduler, SchedulerMixin
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor

from .conditions import Conditions
from .sample import Guidance, make_sampler

MOST_STEPS = 3
EMBEDDED = 32  # channels of each of the three numbers that the network is told
PER_SCALE = 100.0  # a scale of 1 as a timestep, for the same sinusoids


@dataclass(frozen=True)
class DistilledGuidance(Guidance):
    """`Guidance` of a distilled U-Net. `arrival`: the timestep to arrive at, 0 for the end; one, or one per item."""

    arrival: float | tuple[float, ...] = 0.0

    def branches(self, conditions: Conditions) -> list[Conditions]:
        return [conditions]

    def rescaled(self, combined: Tensor, conditioned: Tensor) -> Tensor:
        return combined  # the teacher's predictions were

    def at(self, step: int, timesteps: Tensor) -> Guidance:
        return replace(self, arrival=float(timesteps[step + 1]) if step + 1 < len(timesteps) else 0.0)

    def timestep_cond(self, like: Tensor) -> Tensor:
        """Tensor[B, 3 · EMBEDDED]: both scales and where to arrive."""

        def row(value: float | tuple[float, ...]) -> Tensor:
            return like.new_tensor(value, dtype=torch.float32).expand(len(like))

        rows = (PER_SCALE * row(self.text), PER_SCALE * row(self.video), row(self.arrival))
        embedded = [get_timestep_embedding(each, EMBEDDED, flip_sin_to_cos=True) for each in rows]
        return torch.cat(embedded, 1).to(like.dtype)


def distilled_sampler(scheduler: SchedulerMixin) -> DPMSolverMultistepScheduler:
    """DPM-Solver++ of the first order, which is DDIM: a step from one timestep to the next that knows no other."""
    return DPMSolverMultistepScheduler.from_config(make_sampler("dpm++2m", scheduler).config, solver_order=1)


def step_coefficients(scheduler: SchedulerMixin, start: Tensor, arrival: Tensor) -> tuple[Tensor, Tensor]:
    """a and b of DDIM's step x_s = a x_t + b p from the prediction p at timestep t: Tensor[B] each.

    start: t, int64 Tensor[B]; arrival: s, below 1 for the end, where nothing is left of the noise.
    """
    kept = scheduler.alphas_cumprod.to(start.device, torch.float64)
    there = torch.where(arrival < 1, torch.ones_like(kept[0]), kept[arrival.long()])
    (alpha, sigma), (alpha_s, sigma_s) = ((k.sqrt(), (1 - k).clamp(min=0).sqrt()) for k in (kept[start], there))
    if scheduler.config.prediction_type == "v_prediction":
        return (alpha_s * alpha + sigma_s * sigma).float(), (sigma_s * alpha - alpha_s * sigma).float()
    return (alpha_s / alpha).float(), (sigma_s - alpha_s * sigma / alpha).float()
