"""The reverse process: guidance (paper eq. 7), samplers by name, and a loop that yields each step.

Clips longer than the model's window are denoised as one latent sequence: every step predicts the noise over
overlapping windows and blends the predictions, so that neighbouring windows agree from the first step on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import diffusers
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, SchedulerMixin, UNet2DConditionModel
from torch import Tensor

from stav2a.dials import SAMPLERS

from .conditions import Conditions, concatenated
from .control import TemporalControlNet
from .strength import steps_from
from .time_bias import Places, attend_by_time


def make_sampler(name: str, scheduler: SchedulerMixin) -> SchedulerMixin:
    """The named sampler with the checkpoint's noise schedule."""
    if name not in SAMPLERS:
        raise ValueError(f"The sampler is {name!r}; there are {', '.join(SAMPLERS)}.")
    chosen = SAMPLERS[name]
    # without its note of defaults, a fresh scheduler and one read from a checkpoint give the same sampler
    config = {key: value for key, value in scheduler.config.items() if key != "_use_default_values"}
    return getattr(diffusers, chosen.kind).from_config(config, **chosen.options)


def set_steps(
    sampler: SchedulerMixin, steps: int, device: torch.device | str, power: float = 1.0, strength: float = 1.0
) -> Tensor:
    """Set the timesteps and return those to run: with the sampler's spacing, or T (1 - i / steps)^power (DPM-Solver++).

    Even spacing jumps from a tenth of the noise straight to none, which averages fine texture away: of a detail
    with a quarter of the data's deviation, 8 even steps keep half, 8 steps with power 1.75 keep 0.8.

    With a `strength` below 1 denoising starts at strength · T and takes that share of the steps, rounded up.
    DPM-Solver++ starts exactly there, the others at the nearest of their own timesteps, like diffusers' image-to-image.
    """
    count = steps_from(steps, strength)
    if isinstance(sampler, DPMSolverMultistepScheduler) and (power != 1 or count < steps):
        first = (sampler.config.num_train_timesteps - 1) * strength
        chosen = [round(first * (1 - i / count) ** power) for i in range(count)]
        sampler.set_timesteps(timesteps=sorted(set(chosen), reverse=True), device=device)
        return sampler.timesteps
    sampler.set_timesteps(steps, device=device)
    left_out = steps - count
    if left_out and hasattr(sampler, "set_begin_index"):
        sampler.set_begin_index(left_out)
    return sampler.timesteps[left_out:]


@dataclass(frozen=True)
class Guidance:
    """Scales of guidance: text (w of eq. 7), video (1: off), and strength of the ControlNet.

    `text`: one scale, or one per item of the batch.

    `rescale`: guidance_rescale of diffusers. Brings the deviation of the guided prediction back to that of the
    conditional one (Lin et al. 2024, eq. 15 and 16). Without it, scales above 1 make sounds too loud.

    `guided_share`: share of the steps with guidance, from the first. The rest uses the conditional prediction alone, at
    a half or a third of the cost (Kynkäänniemi et al. 2024, eq. 4 and 5).
    """

    text: float | tuple[float, ...] = 3.0
    video: float = 1.0
    control: float = 1.0
    mask_control: bool = True  # the authors let the ControlNet see text padding: False is faithful to them
    guided_share: float = 1.0
    rescale: float = 0.0

    def branch_count(self) -> int:
        scales = self.text if isinstance(self.text, tuple) else (self.text,)
        if set(scales) == {self.video}:  # the middle prediction cancels out, and at 1 the first one as well
            return 1 if self.video == 1 else 2
        return 2 if self.video == 1 else 3

    def branches(self, conditions: Conditions) -> list[Conditions]:
        """Conditions of each prediction, from the least to the most conditional."""
        if self.branch_count() == 1:
            return [conditions]
        if self.branch_count() == 3:
            return [conditions.null_text().null_video(), conditions.null_text(), conditions]
        without = conditions.null_text()
        return [without if self.video == 1 else without.null_video(), conditions]

    def text_scale(self, like: Tensor) -> Tensor | float:
        """The scale of the text for predictions `like` Tensor[B, C, T, F]: a number, or Tensor[B, 1, 1, 1]."""
        return like.new_tensor(self.text)[:, None, None, None] if isinstance(self.text, tuple) else self.text

    def combine(self, predictions: tuple[Tensor, ...]) -> Tensor:
        """Each prediction is Tensor[B, C, T, F]."""
        if len(predictions) == 1:
            return predictions[0]
        if len(predictions) == 2:
            without, full = predictions
            return without + self.text_scale(full) * (full - without)
        nothing, video, full = predictions
        return nothing + self.video * (video - nothing) + self.text_scale(full) * (full - video)

    def rescaled(self, combined: Tensor, conditioned: Tensor) -> Tensor:
        """Tensor[B, C, T, F] both; each item has its own deviation."""
        if self.rescale == 0:
            return combined
        axes = tuple(range(1, combined.ndim))
        ratio = conditioned.std(axes, keepdim=True) / combined.std(axes, keepdim=True).clamp(min=1e-6)
        return combined * (1 + self.rescale * (ratio - 1))

    def corrected(self, prediction: Tensor, latents: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        """Hook for guidance by another network than the U-Net: changes the combined prediction."""
        return prediction

    def at(self, step: int, timesteps: Tensor) -> Guidance:
        """Guidance of step `step`, counted from 0, of those at `timesteps`."""
        return self if step < round(self.guided_share * len(timesteps)) else self.off()

    def timestep_cond(self, like: Tensor) -> Tensor | None:
        """What a distilled U-Net is told beside the timestep, for latents `like` Tensor[B, C, T, F]."""
        return None

    def off(self) -> Guidance:
        return replace(self, text=1.0, video=1.0)


def predict(
    unet: UNet2DConditionModel,
    controlnet: TemporalControlNet | None,
    latents: Tensor,
    timestep: Tensor,
    conditions: Conditions,
    guidance: Guidance,
) -> Tensor:
    """One network evaluation: Tensor[B, C, T, F]."""
    context, mask = conditions.context(), conditions.context_mask()
    residuals: dict[str, Any] = {}
    # like AudioLDM's, the compact U-Net also takes the mean of the caption's tokens with the timestep
    pooled = conditions.pooled_text() if unet.config.class_embed_type == "projection" else None
    local = conditions.control()
    if controlnet is not None and local is not None and guidance.control != 0:
        bare = replace(conditions, reference_tokens=None, has_reference=None)  # it tells what is heard, not when
        down, mid = controlnet(
            latents,
            timestep,
            encoder_hidden_states=bare.context(),
            controlnet_cond=local,
            conditioning_scale=guidance.control,
            encoder_attention_mask=bare.context_mask() if guidance.mask_control else None,
            class_labels=pooled,
            return_dict=False,
        )
        residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": mid}
    if conditions.layout is not None:  # eq. 7 of TiVA: [z_t, t]
        latents = torch.cat([latents, conditions.layout[:, None].to(latents.dtype)], 1)
    if (told := guidance.timestep_cond(latents)) is not None:
        residuals["timestep_cond"] = told
    if (times := conditions.times()) is not None:
        attend_by_time(unet)
        residuals["cross_attention_kwargs"] = {"places": Places(times, (latents.shape[2], latents.shape[3]), mask)}
    return unet(
        latents,
        timestep,
        encoder_hidden_states=context,
        encoder_attention_mask=mask,
        class_labels=pooled,
        return_dict=False,
        **residuals,
    )[0]


def guided(
    unet: UNet2DConditionModel,
    controlnet: TemporalControlNet | None,
    latents: Tensor,
    timestep: Tensor,
    conditions: Conditions,
    guidance: Guidance,
) -> Tensor:
    """Predict all branches of the guidance in one batch and combine them."""
    branches = guidance.branches(conditions)
    batch = latents.repeat(len(branches), 1, 1, 1)
    prediction = predict(unet, controlnet, batch, timestep, concatenated(branches), guidance)
    parts = prediction.chunk(len(branches))
    combined = guidance.rescaled(guidance.combine(parts), parts[-1])
    return guidance.corrected(combined, latents, timestep, conditions)


def windows(length: int, window: int) -> list[tuple[int, int]]:
    """Spans that cover `length` latent frames. Neighbours overlap by at least a quarter of the window."""
    if length <= window:
        return [(0, length)]
    count = -(-(length - window) // (window - window // 4)) + 1
    return [(start, start + window) for start in (round(i * (length - window) / (count - 1)) for i in range(count))]


def ramp(span: tuple[int, int], length: int, overlap: int) -> Tensor:
    """Weight [stop - start] of a window in the blend, rising and falling over `overlap` latent frames."""
    start, stop = span
    position = torch.arange(stop - start, dtype=torch.float32)
    rise = (position + 1) / (overlap + 1) if start > 0 else torch.ones_like(position)
    fall = (stop - start - position) / (overlap + 1) if stop < length else torch.ones_like(position)
    return torch.minimum(rise, fall).clamp(max=1)


def denoise(
    unet: UNet2DConditionModel,
    controlnet: TemporalControlNet | None,
    sampler: SchedulerMixin,
    latents: Tensor,
    conditions: Conditions,
    guidance: Guidance,
    steps: int,
    window: int,
    generators: list[torch.Generator],
    timestep_power: float = 1.0,
    on_step: Callable[[int, Tensor, Tensor], Tensor] | None = None,
    start: Tensor | None = None,
    strength: float = 1.0,
) -> Iterator[Tensor]:
    """Yield the latents Tensor[B, C, T, F] after each step.

    latents: standard normal noise
    start, strength: with a strength below 1 denoising starts from these latents of recordings, with noise added up to
    the first timestep (SDEdit, arXiv 2108.01073)
    window: the most latent frames per prediction   generators: one per item, for samplers that add noise
    timestep_power: see `set_steps`   on_step: (step from 0, timestep, latents) -> the latents to continue with
    """
    timesteps = set_steps(sampler, steps, latents.device, timestep_power, strength)
    if start is not None and strength < 1:
        latents = sampler.add_noise(start, latents, timesteps[:1].expand(len(start)))
    else:
        latents = latents * sampler.init_noise_sigma
    length = latents.shape[2]
    spans = windows(length, window)
    weights = [ramp(span, length, window // 4).to(latents)[:, None] for span in spans]
    takes_generator = isinstance(sampler, DDPMScheduler)
    for step, timestep in enumerate(timesteps):
        seen = sampler.scale_model_input(latents, timestep)
        dials = guidance.at(step, timesteps)
        if len(spans) == 1:
            prediction = guided(unet, controlnet, seen, timestep, conditions, dials)
        else:
            prediction, total = torch.zeros_like(latents), torch.zeros_like(latents[0, 0])
            for (left, right), weight in zip(spans, weights, strict=True):
                inside = conditions.window(left, right)
                part = guided(unet, controlnet, seen[:, :, left:right], timestep, inside, dials)
                prediction[:, :, left:right] += part * weight
                total[left:right] += weight
            prediction = prediction / total
        extra = {"generator": generators} if takes_generator else {}
        latents = sampler.step(prediction, timestep, latents, return_dict=False, **extra)[0]
        if on_step is not None:
            latents = on_step(step, timestep, latents)
        yield latents
