"""Stage `distill`: a U-Net that makes one step where the trained one makes several guided ones.

The teacher, U-Net and ControlNet at rest, denoises with the checkpoint's own sampler and guidance in
`options.teacher_steps`. The student learns to reach in one pass what the teacher reaches in all of them, or half, or a
third (progressive distillation, arXiv 2202.00512), with guidance (arXiv 2210.03142). It differs at low rank.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import SchedulerMixin, UNet2DConditionModel
from torch import Tensor, nn

from stav2a.condition import text
from stav2a.denoise.conditions import Conditions, concatenated
from stav2a.denoise.few_steps import (
    EMBEDDED,
    DistilledGuidance,
    distilled_sampler,
    step_coefficients,
)
from stav2a.denoise.loss import learning_attention
from stav2a.denoise.low_rank import learn_low_rank, merged
from stav2a.denoise.sample import Guidance, denoise, make_sampler, predict
from stav2a.models.defaults import DEFAULTS
from stav2a.models.distilled import open_distilled, write_distilled
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.parts import noted_defaults
from stav2a.train.runtime.stage import noise_for, uniform_for
from stav2a.train.stages.diffusion import V2AOptions, V2AStage
from stav2a.weights.check import DISTILLED

HEARD_STEPS = 2  # of the student, in a validation


@dataclass
class DistillOptions(V2AOptions):
    fine_tune: bool = True  # the teacher is trained
    freeze_control: bool = True
    rank: int = 32  # of the change of each weight
    student: str | None = None  # folder of parts whose distilled U-Net goes on to learn; null: it starts as the teacher
    teacher_steps: int = 6  # a multiple of 6, so that 1, 2 and 3 steps of the student meet the teacher's
    least_scale: float = 1.0  # of guidance by the caption and by the picture, drawn half of the time;
    most_scale: float = 8.0  # else those of the checkpoint
    least_strength: float = 0.3  # from which denoising starts, a third of the time; else noise, or the checkpoint's
    other_start: float = 0.3  # chance that it starts from the sound of another clip


class DistillStage(V2AStage):
    """Scales, strength and number of steps are drawn for each batch, and follow its number alone."""

    name = "distill"
    Options = DistillOptions
    options: DistillOptions

    def __init__(self, config: TrainConfig):
        super().__init__(config)
        if not (self.options.fine_tune and self.options.freeze_control):
            raise ValueError("Stage distill learns from a trained model: fine_tune and freeze_control stay true.")
        if self.options.teacher_steps < 6 or self.options.teacher_steps % 6:
            raise ValueError(f"options.teacher_steps is {self.options.teacher_steps}; it must be a multiple of 6.")
        for part in (self.unet, self.controlnet, self.attentive_pool, self.image_pool, self.reference_pool):
            if part is not None:
                self.freeze(part)
        self.student = self.first_student()
        learn_low_rank(self.student, self.options.rank)
        self.sampling = {**DEFAULTS, **noted_defaults(config.parts)}

    def first_student(self) -> UNet2DConditionModel:
        """The distilled U-Net of `options.student`, or the teacher, which is told nothing yet.

        Never the one in `parts`: that is this run's own, and a resumed run must start as it did.
        """
        if self.options.student:
            if not (Path(self.options.student) / DISTILLED / "config.json").is_file():
                raise ValueError(f"options.student is {self.options.student}, and there is no {DISTILLED} in it.")
            return open_distilled(self.options.student).requires_grad_(True)
        student = UNet2DConditionModel.from_config({**self.unet.config, "time_cond_proj_dim": 3 * EMBEDDED})
        missing, unexpected = student.load_state_dict(self.unet.state_dict(), strict=False)
        assert not unexpected and missing == ["time_embedding.cond_proj.weight"], (missing, unexpected)
        nn.init.zeros_(student.time_embedding.cond_proj.weight)
        return student

    def forward(self, batch: dict, phase: str = "main") -> dict[str, Tensor]:
        batch = self.encode_batch(batch)
        latents = self.latents(batch["waveform"]).float()
        conditions = self.compared(self.conditions(batch, latents.shape[2]))
        draws = uniform_for([int(batch["index"][0]) // self.config.batch_size], self.config.seed, "distill", 6)[0]
        strength, scales = self.strength(draws), self.scales(draws)
        with torch.no_grad():
            timesteps, reached = self.trajectory(batch["index"], latents, conditions, strength, scales)
        steps = (2, 2, 2, 3, 1)[int(draws[0] * 5)]
        span = self.options.teacher_steps // steps
        starts = range(0, self.options.teacher_steps, span)
        ends = [*timesteps[1:], 0]
        many = latents.new_ones(len(latents))
        start = torch.cat([timesteps[i] * many for i in starts]).long()
        arrival = torch.cat([ends[i + span - 1] * many for i in starts])
        noisy = torch.cat([reached[i] for i in starts])
        wanted = torch.cat([reached[i + span] for i in starts])
        own = self.guidance(scales[0])
        guidance = DistilledGuidance(
            own.text, scales[1], mask_control=own.mask_control, arrival=tuple(arrival.tolist())
        )
        with learning_attention(latents.device):
            prediction = predict(
                self.student, self.controlnet, noisy, start, concatenated([conditions] * steps), guidance
            )
        a, b = (c[:, None, None, None].to(noisy) for c in step_coefficients(self.scheduler, start, arrival))
        error = (prediction.float() - (wanted - a * noisy) / b).square().mean((1, 2, 3))
        return {"loss": error.mean(), "first": error[: len(latents)].mean().detach()}

    def trajectory(
        self, index: Tensor, latents: Tensor, conditions: Conditions, strength: float, scales: tuple[float, float]
    ) -> tuple[list[int], list[Tensor]]:
        """The teacher's timesteps, `teacher_steps` of them, and its latents before the first and after each."""
        noise = noise_for(index, latents.shape[1:], self.config.seed, "noise").to(latents)
        swapped = uniform_for(index, self.config.seed, "other start")[:, 0] < self.options.other_start
        origin = torch.where(swapped.to(latents.device)[:, None, None, None], latents.roll(1, 0), latents)
        sampler = make_sampler(self.sampling["sampler"], self.scheduler)
        steps = math.floor(self.options.teacher_steps / strength + 1e-9)  # of which `teacher_steps` run
        timesteps: list[int] = []

        def note(step: int, timestep: Tensor, after: Tensor) -> Tensor:
            timesteps.append(int(timestep))
            return after

        guidance = replace(
            self.guidance(scales[0]),
            video=scales[1],
            guided_share=self.sampling["guided_share"],
            rescale=self.sampling["guidance_rescale"],
        )
        window, power = self.timeline.latent_frames, self.sampling["timestep_power"]
        run = denoise(
            self.unet, self.controlnet, sampler, noise, conditions, guidance, steps, window, [], power, note, origin,
            strength,
        )  # fmt: skip
        after = [each.float() for each in run]
        first = torch.full((len(latents),), timesteps[0], device=latents.device)
        before = noise if strength == 1 else self.scheduler.add_noise(origin, noise, first)
        return timesteps, [before, *after]

    def strength(self, draws: Tensor) -> float:
        """Noise alone, the checkpoint's own strength, or one between."""
        own, least = self.sampling["strength"], self.options.least_strength
        return (1.0, own, least + float(draws[2]) * (1 - least))[int(draws[1] * 3)]

    def scales(self, draws: Tensor) -> tuple[float, float]:
        """Of guidance by the caption and by the picture: half the time the checkpoint's, a quarter equal.

        A checkpoint without guidance by the picture learns none.
        """
        low, high = self.options.least_scale, self.options.most_scale
        text, video = (low + float(draw) * (high - low) for draw in draws[4:])
        if draws[3] < 0.5:
            return self.sampling["guidance_scale"], self.sampling["video_guidance_scale"]
        if self.sampling["video_guidance_scale"] == 1:
            return text, 1.0
        return (text, text) if draws[3] < 0.75 else (text, video)

    def compared(self, conditions: Conditions) -> Conditions:
        """What guidance compares with: no caption, or the checkpoint's negative one for a picture without onsets."""
        device, negative = conditions.text_tokens.device, self.sampling["eventless_negative_prompt"]
        captions = [""] * len(conditions)
        if negative and conditions.onset_curve is not None and conditions.local_features is not None:
            _, empty = text.encode(self.tokenizer, self.text_encoder, [""], device)
            silent = conditions.onset_curve.flatten(1).amax(1) == 0
            seen = conditions.local_features.flatten(1).any(1)
            bare = (conditions.text_mask.sum(1) <= empty.sum()) & silent & seen
            captions = [negative if each else "" for each in bare.tolist()]
        tokens, mask = text.null(
            self.options.null_text, self.tokenizer, self.text_encoder, captions, conditions.text_tokens,
            conditions.text_mask,
        )  # fmt: skip
        return replace(conditions, null_text_tokens=tokens, null_text_mask=mask)

    def sampled_by(self) -> tuple[UNet2DConditionModel, SchedulerMixin, Guidance, int, float]:
        own = self.guidance(self.sampling["guidance_scale"])
        guidance = DistilledGuidance(own.text, self.sampling["video_guidance_scale"], mask_control=own.mask_control)
        power = self.sampling["timestep_power"]
        return self.student, distilled_sampler(self.scheduler), guidance, HEARD_STEPS, power

    def export(self, folder: Path) -> None:
        student = UNet2DConditionModel.from_config(self.student.config)
        student.load_state_dict(merged(self.student))
        write_distilled(student, self.unet, folder, half=False)
