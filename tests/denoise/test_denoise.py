"""The reverse process against a denoiser whose answer is known, and what guidance asks of the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from prepared import prepared

from stav2a.denoise.loss import diffusion_loss, signal_to_noise
from stav2a.denoise.sample import SAMPLERS, Guidance, make_sampler, set_steps
from stav2a.presets import SCHEDULER


def sampled(sampler, alphas, mean: float, std: float) -> torch.Tensor:
    """What the sampler makes of noise when the data are N(mean, std²), for which the best guess is known."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 8, 64, 64, generator=generator)
    takes = {"generator": generator} if isinstance(sampler, DDPMScheduler) else {}
    for timestep in sampler.timesteps:
        signal, noise = alphas[int(timestep)].sqrt(), (1 - alphas[int(timestep)]).sqrt()
        data = mean + signal * std**2 / (signal**2 * std**2 + noise**2) * (x - signal * mean)
        velocity = signal * (x - signal * data) / noise - noise * data
        x = sampler.step(velocity, timestep, x, return_dict=False, **takes)[0]
    return x


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_return_the_data_from_pure_noise(name):
    scheduler = DDPMScheduler(**SCHEDULER["compact"])
    sampler = make_sampler(name, scheduler)
    set_steps(sampler, 100, "cpu")
    x = sampled(sampler, scheduler.alphas_cumprod, 1.5, 0.5)
    assert float(x.mean()) == pytest.approx(1.5, abs=0.02)
    assert float(x.std()) == pytest.approx(0.5, rel=0.1)


def test_a_schedule_that_ends_in_noise_has_no_signal_left():
    def left(name):
        return float(DDPMScheduler(**SCHEDULER[name]).alphas_cumprod[-1].sqrt())

    assert left("compact") == pytest.approx(0, abs=1e-6) and left("tiny") == pytest.approx(0, abs=1e-6)
    assert left("paper") == pytest.approx(0.068, abs=0.001)


def test_crowded_steps_keep_fine_texture():
    scheduler = DDPMScheduler(**SCHEDULER["compact"])

    def kept(power: float) -> float:
        sampler = make_sampler("dpm++2m", scheduler)
        set_steps(sampler, 8, "cpu", power)
        assert len(sampler.timesteps) == 8 and int(sampler.timesteps[0]) == 999
        return float(sampled(sampler, scheduler.alphas_cumprod, 1.0, 0.25).std()) / 0.25

    assert kept(1.0) < 0.6 < 0.8 < kept(1.75) < 1.05


def test_more_steps_than_timesteps_to_choose_from_still_descend():
    sampler = make_sampler("dpm++2m", DDPMScheduler(**SCHEDULER["compact"]))
    set_steps(sampler, 200, "cpu", 1.75)
    steps = sampler.timesteps.tolist()
    assert steps[0] == 999 and steps == sorted(set(steps), reverse=True)


def test_power_leaves_other_samplers_alone():
    for name in ("ddim", "ddpm", "unipc"):
        plain, asked = (make_sampler(name, DDPMScheduler(**SCHEDULER["compact"])) for _ in range(2))
        set_steps(plain, 8, "cpu")
        set_steps(asked, 8, "cpu", 1.75)
        assert plain.timesteps.tolist() == asked.timesteps.tolist()


def test_equal_dials_need_two_predictions_and_mean_the_same(tiny_pipeline):
    conditions = prepared(tiny_pipeline, np.zeros((16, 32, 32, 3), np.uint8), "a dog barks").conditions
    assert [len(Guidance(text, video).branches(conditions)) for text, video in ((1, 1), (3, 1), (3, 2), (3, 3))] == [
        1,
        2,
        3,
        2,
    ]
    nothing, video, full = torch.randn(3, 2, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Guidance(3, 3).combine((nothing, full)), Guidance(3, 3).combine((nothing, video, full)))


def test_a_batch_of_guidances_equals_each_alone(tiny_pipeline):
    conditions = prepared(tiny_pipeline, np.zeros((16, 32, 32, 3), np.uint8), "a dog barks").conditions.repeat(2)
    predictions = torch.randn(3, 2, 8, 4, 4, generator=torch.Generator().manual_seed(0)).unbind()
    batch = Guidance((2.0, 5.0), 2.0)
    assert len(batch.branches(conditions)) == 3
    for item, scale in enumerate(batch.text):
        alone = Guidance(scale, 2.0).combine(tuple(p[item] for p in predictions))
        if scale != 2.0:
            torch.testing.assert_close(batch.combine(predictions)[item], alone)
    assert len(Guidance((2.0, 2.0), 2.0).branches(conditions)) == 2
    assert len(batch.off().branches(conditions)) == 1


@pytest.mark.parametrize(("share", "predicted"), [(1.0, [2] * 6), (0.5, [2] * 3 + [1] * 3), (0.0, [1] * 6)])
def test_guidance_is_paid_for_its_share_of_the_steps(tiny_pipeline, monkeypatch, share, predicted):
    from stav2a.denoise import sample

    seen, true = [], sample.predict

    def counted(unet, controlnet, latents, *rest):
        seen.append(len(latents))
        return true(unet, controlnet, latents, *rest)

    monkeypatch.setattr(sample, "predict", counted)
    scales = {"guidance_scale": 3.0, "video_guidance_scale": 3.0}
    own = {"guided_share": share}
    item = prepared(tiny_pipeline, np.zeros((16, 32, 32, 3), np.uint8), "a dog barks", "", own, steps=6, **scales)
    list(tiny_pipeline.denoise([item]))
    assert seen == predicted


def test_a_rescaled_prediction_has_the_deviation_of_the_conditioned_one():
    conditioned = torch.randn(2, 8, 16, 4, generator=torch.Generator().manual_seed(0))
    combined = 3 * conditioned + torch.tensor([0.5, -0.5])[:, None, None, None]
    axes = (1, 2, 3)
    whole = Guidance(rescale=1.0).rescaled(combined, conditioned)
    assert torch.allclose(whole.std(axes), conditioned.std(axes))
    half = Guidance(rescale=0.5).rescaled(combined, conditioned)
    assert torch.allclose(half.std(axes), (conditioned.std(axes) + combined.std(axes)) / 2)
    assert Guidance().rescaled(combined, conditioned) is combined


def test_rescaling_is_what_the_checkpoint_says(tiny_pipeline, monkeypatch):
    frames = np.zeros((16, 32, 32, 3), np.uint8)
    plain = tiny_pipeline(frames, "a dog barks", seed=0).waveforms
    assert tiny_pipeline.guidance([prepared(tiny_pipeline, frames)]).rescale == 0
    monkeypatch.setitem(tiny_pipeline.config.defaults, "guidance_rescale", 0.7)
    assert tiny_pipeline.guidance([prepared(tiny_pipeline, frames)]).rescale == 0.7
    assert not np.array_equal(tiny_pipeline(frames, "a dog barks", seed=0).waveforms, plain)


def test_snr_weights_are_finite_where_no_signal_is_left():
    scheduler = DDPMScheduler(**SCHEDULER["compact"])
    timesteps = torch.tensor([999, 500])
    assert float(signal_to_noise(scheduler, timesteps)[0]) == pytest.approx(0, abs=1e-9)
    wrong, right = torch.ones(2, 8, 4, 4), torch.zeros(2, 8, 4, 4)
    weighted = diffusion_loss(scheduler, wrong, right, timesteps, 5.0)
    assert float(weighted) == pytest.approx(1.0)  # both lie below γ: neither is weighted down
    low = torch.tensor([0, 0])
    snr = float(signal_to_noise(scheduler, low)[0])
    assert float(diffusion_loss(scheduler, wrong, right, low, 5.0)) == pytest.approx(5 / snr)
