"""Conditions of systems that tell the U-Net about every moment by cross-attention: a feature a latent step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from stav2a.condition.in_time import fitted

from .conditions import Conditions


@dataclass(frozen=True)
class FrameConditions(Conditions):
    """`features` become the context's tokens when they are asked for: `tokens(conditions)` -> Tensor[B, N, D].

    So positions count from where a window of a long clip begins, and a picture or caption that guidance drops is
    made of the same zeros as one that training dropped.

        features: Tensor[B, T, C]   seen: Tensor[B], 1 where the picture is there, 0 where it is dropped
        caption_tokens: the caption's own tokens join the context, through `project_caption` where their width differs
        joint: guidance drops caption and picture together (VTA-LDM eq. 2), so that there is one scale
    """

    features: Tensor | None = None
    seen: Tensor | None = None
    tokens: Callable[[FrameConditions], Tensor] | None = None
    caption_tokens: bool = False
    project_caption: Callable[[Tensor], Tensor] | None = None
    joint: bool = False

    @cached_property
    def frame_tokens(self) -> Tensor:
        """Tensor[B, N, D]."""
        return self.tokens(self)

    @cached_property
    def told(self) -> Tensor:
        """Tensor[B], 1 where there is a caption: the empty one has no words between its two marks, or is zeros."""
        worded = (self.text_mask.sum(1) > 2) & self.text_tokens.flatten(1).any(1)
        return worded.to(self.features.dtype)

    def window(self, start: int, stop: int) -> FrameConditions:
        return replace(super().window(start, stop), features=self.features[:, start:stop])

    def padded(self, length: int) -> FrameConditions:
        """Continued to `length` latent steps by the last row of features and layout, as in training."""
        layout = None if self.layout is None else fitted(self.layout, length)
        return replace(self, features=fitted(self.features, length), layout=layout)

    def null_text(self) -> Conditions:
        dropped = super().null_text()
        return dropped.null_video() if self.joint else dropped

    def null_video(self) -> Conditions:
        return replace(super().null_video(), seen=torch.zeros_like(self.seen))

    def context(self) -> Tensor:
        """Tensor[B, L + N, D], or [B, N, D] where the caption's tokens stay out."""
        if not self.caption_tokens:
            return self.frame_tokens
        text = self.text_tokens if self.project_caption is None else self.project_caption(self.text_tokens)
        return torch.cat([text, self.frame_tokens.to(text.dtype)], 1)

    def context_mask(self) -> Tensor:
        present = torch.ones(self.frame_tokens.shape[:2], dtype=torch.bool, device=self.text_mask.device)
        return torch.cat([self.text_mask, present], 1) if self.caption_tokens else present

    def pooled_text(self) -> Tensor:
        """What joins the time step, Tensor[B, D]: the caption's mean, or that of the frames where it stays out."""
        return super().pooled_text() if self.caption_tokens else self.frame_tokens.mean(1)
