"""TA-V2A's guidance: a weight each for caption, negative caption and picture (eq. 13-14); a classifier (eq. 11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .frame_conditions import FrameConditions
from .sample import Guidance

LEAST_SIGNAL = 0.05  # √ᾱ below which latents are too noisy to classify


@dataclass(frozen=True)
class ClassifierGuidance(Guidance):
    """`Guidance` with the term -γ β̄_t ∇ log P_φ(y | z_t, t, E_v) of eq. 11, β̄_t = √(1 - ᾱ_t) as in Diff-Foley.

    classifier: (latents, timesteps, features) -> logits Tensor[B] of "sound and picture belong together"
    """

    alignment: float = 0.0  # γ
    classifier: Callable | None = None
    scheduler: object = None

    def combine(self, predictions: tuple[Tensor, ...]) -> Tensor:
        if len(predictions) == 1:
            return predictions[0]
        without, full = predictions
        return without + self.text_scale(full) * (full - without)

    def branches(self, conditions: FrameConditions) -> list[FrameConditions]:
        return [conditions.null_text(), conditions]

    def off(self) -> Guidance:
        return Guidance(1.0, 1.0, self.control, self.mask_control)

    def corrected(self, prediction: Tensor, latents: Tensor, timestep, conditions: FrameConditions) -> Tensor:
        if not self.alignment:
            return prediction
        alpha = self.scheduler.alphas_cumprod.to(latents)[timestep]
        signal, noise = alpha.sqrt(), (1 - alpha).sqrt()
        if signal < LEAST_SIGNAL:
            return prediction
        with torch.enable_grad():
            seen = latents.detach().requires_grad_()
            timesteps = torch.as_tensor(timestep, device=latents.device).expand(len(latents))
            logits = self.classifier(seen, timesteps, conditions.features)
            (slope,) = torch.autograd.grad(functional.logsigmoid(logits).sum(), seen)
        change = -self.alignment * noise * slope  # of ε
        return prediction + (change / signal if self.scheduler.config.prediction_type == "v_prediction" else change)


@dataclass(frozen=True)
class ComposedGuidance(ClassifierGuidance):
    """ε + g(E_l, ω_l) - g(E_nl, ω_nl) + g(E_v, ω_v), g(c, ω) = ω (ε(c) - ε).

    `text` is ω_l, `video` is ω_v. The weights of the four predictions add up to one, so that the equation holds
    for the velocity as it does for ε.
    """

    negative: float = 2.5  # ω_nl

    def branches(self, conditions: FrameConditions) -> list[FrameConditions]:
        """Nothing, the caption alone, the negative caption alone, the picture alone."""
        return [
            conditions.without_text().null_video(),
            conditions.null_video(),
            conditions.null_text().null_video(),
            conditions.without_text(),
        ]

    def rescaled(self, combined: Tensor, conditioned: Tensor) -> Tensor:
        return combined  # the last branch is the picture alone, whose deviation is not the mixture's

    def combine(self, predictions: tuple[Tensor, ...]) -> Tensor:
        if len(predictions) == 1:
            return predictions[0]
        nothing, text, negative, video = predictions
        return (
            nothing
            + self.text_scale(text) * (text - nothing)
            - self.negative * (negative - nothing)
            + self.video * (video - nothing)
        )
