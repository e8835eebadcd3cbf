"""Sampling with a distilled U-Net: one step of DDIM to the timestep that it is told, with scales as inputs."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDPMScheduler

from stav2a.denoise.few_steps import EMBEDDED, DistilledGuidance, distilled_sampler, step_coefficients
from stav2a.denoise.sample import set_steps
from stav2a.presets import SCHEDULER


def scheduler_of(kind: str, model: str) -> DDPMScheduler:
    return DDPMScheduler(**{**SCHEDULER[model], "prediction_type": kind})


@pytest.mark.parametrize(("kind", "model"), [("v_prediction", "compact"), ("epsilon", "paper")])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_coefficients_are_those_of_the_sampler_s_step(kind, model, steps):
    """What the training inverts is the step that sampling makes, to the end of the noise."""
    scheduler = scheduler_of(kind, model)
    sampler = distilled_sampler(scheduler)
    timesteps = set_steps(sampler, steps, "cpu", power=1.75, strength=0.85)
    latents = torch.randn(1, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    for step, timestep in enumerate(timesteps):
        prediction = torch.randn(latents.shape, generator=torch.Generator().manual_seed(step + 1))
        arrival = timesteps[step + 1] if step + 1 < len(timesteps) else torch.tensor(0)
        a, b = step_coefficients(scheduler, timestep[None], arrival[None])
        after = sampler.step(prediction, timestep, latents, return_dict=False)[0]
        torch.testing.assert_close(after, a * latents + b * prediction, rtol=1e-3, atol=1e-3)
        latents = after


def test_from_pure_noise_one_step_gives_the_denoised_latents():
    scheduler = scheduler_of("v_prediction", "compact")
    a, b = step_coefficients(scheduler, torch.tensor([999]), torch.tensor([0.0]))
    assert float(a) == pytest.approx(0, abs=1e-3) and float(b) == pytest.approx(-1, abs=1e-3)


def test_the_network_is_told_its_scales_and_where_to_arrive():
    timesteps, like = torch.tensor([849, 252]), torch.zeros(2, 8, 16, 16)
    guidance = DistilledGuidance(text=(4.0, 2.0), video=4.0)
    first, last = (guidance.at(step, timesteps).timestep_cond(like) for step in (0, 1))
    assert first.shape == (2, 3 * EMBEDDED)
    text, video, arrival = first.split(EMBEDDED, 1)
    assert not torch.equal(text[0], text[1])  # of each item
    assert torch.equal(video[0], video[1]) and torch.equal(video[0], text[0])
    assert not torch.equal(arrival, last[:, -EMBEDDED:])
    end = DistilledGuidance(text=(4.0, 2.0), video=4.0, arrival=0.0).timestep_cond(like)
    assert torch.equal(last, end)


def test_a_step_is_one_pass():
    assert len(DistilledGuidance(4.0, 4.0).branches("conditions")) == 1
