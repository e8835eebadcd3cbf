"""Conditions of systems that condition the U-Net on every frame by cross-attention: one feature per latent frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from stav2a.condition.in_time import fitted

from .conditions import Conditions


@dataclass(frozen=True)
class FrameConditions(Conditions):
    """The tokens of the context are computed on demand: `tokens(conditions)` -> Tensor[B, N, D].

    Positions therefore count from the start of a window of a long clip, and a video or caption that guidance drops is
    the same zeros as one that training dropped.

        features: Tensor[B, T, C]   has_video: Tensor[B], 0 where the video is dropped, else 1
        caption_tokens: the caption's tokens join the context, projected by `project_caption` if their width differs
        joint: guidance drops caption and picture together (VTA-LDM eq. 2), with one guidance scale
        time_bias: cross-attention knows when the frames are (`time_bias.py`)
    """

    features: Tensor = field(kw_only=True)
    has_video: Tensor = field(kw_only=True)
    tokens: Callable[[FrameConditions], Tensor] = field(kw_only=True)
    caption_tokens: bool = False
    project_caption: Callable[[Tensor], Tensor] | None = None
    joint: bool = False
    time_bias: bool = False

    @cached_property
    def frame_tokens(self) -> Tensor:
        """Tensor[B, N, D]."""
        return self.tokens(self)

    @cached_property
    def has_text(self) -> Tensor:
        """Tensor[B], 1 where there is a caption. The empty one is only its two special tokens, or zeros."""
        has_words = (self.text_mask.sum(1) > 2) & self.text_tokens.flatten(1).any(1)
        return has_words.to(self.features.dtype)

    def window(self, start: int, stop: int) -> FrameConditions:
        return replace(super().window(start, stop), features=self.features[:, start:stop])

    def padded(self, length: int) -> FrameConditions:
        """Padded to `length` latent frames with the last row of features and layout, as in training."""
        layout = None if self.layout is None else fitted(self.layout, length)
        return replace(self, features=fitted(self.features, length), layout=layout)

    def null_text(self) -> Conditions:
        dropped = super().null_text()
        return dropped.null_video() if self.joint else dropped

    def null_video(self) -> Conditions:
        return replace(super().null_video(), has_video=torch.zeros_like(self.has_video))

    def context(self) -> Tensor:
        """Tensor[B, L + N, D], or [B, N, D] without the caption's tokens."""
        if not self.caption_tokens:
            return self.frame_tokens
        text = self.text_tokens if self.project_caption is None else self.project_caption(self.text_tokens)
        return torch.cat([text, self.frame_tokens.to(text.dtype)], 1)

    def context_mask(self) -> Tensor:
        present = torch.ones(self.frame_tokens.shape[:2], dtype=torch.bool, device=self.text_mask.device)
        return torch.cat([self.text_mask, present], 1) if self.caption_tokens else present

    def times(self) -> Tensor | None:
        if not self.time_bias:
            return None
        rows, tokens = self.features.shape[1], self.frame_tokens.shape[1]
        frames = torch.arange(rows, device=self.features.device, dtype=torch.float32).repeat(tokens // rows)
        caption = frames.new_full((self.text_tokens.shape[1] if self.caption_tokens else 0,), torch.nan)
        return torch.cat([caption, frames])

    def pooled_text(self) -> Tensor:
        """Added to the timestep embedding, Tensor[B, D]: the caption's mean, or the frames' without a caption."""
        return super().pooled_text() if self.caption_tokens else self.frame_tokens.mean(1)
