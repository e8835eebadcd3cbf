"""All conditions of denoising as one value, and its null versions for guidance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Conditions:
    """Text, global tokens, local features, onset curve and reference of a batch.

    `null_text_tokens`/`null_text_mask` replace the text where guidance drops it: the empty string or a
    negative caption. A missing global or local part is None.

        text_tokens: Tensor[B, L, D]   text_mask: bool Tensor[B, L]   (both also as null_…)
        global_tokens: Tensor[B, K, D]   local_features: Tensor[B, T, C]   onset_curve: Tensor[B, T]
        layout: Tensor[B, T, F], a channel beside the latents (TiVA); guidance never drops it
        reference_tokens: Tensor[B, R, D] of recordings, dropped with the text; the ControlNet does not see them
        has_reference: bool Tensor[B], False for items without a reference, whose tokens are masked
    """

    text_tokens: Tensor
    text_mask: Tensor
    null_text_tokens: Tensor
    null_text_mask: Tensor
    global_tokens: Tensor | None = None
    local_features: Tensor | None = None
    onset_curve: Tensor | None = None
    layout: Tensor | None = None
    reference_tokens: Tensor | None = None
    has_reference: Tensor | None = None

    def __len__(self) -> int:
        return len(self.text_tokens)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Conditions:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: change(v) for name, v in values.items() if isinstance(v, Tensor)})

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Conditions:
        return self._map(lambda v: v.to(device, dtype if v.is_floating_point() else None))

    def repeat(self, times: int) -> Conditions:
        """Each item `times` times in a row."""
        return self._map(lambda v: v.repeat_interleave(times, 0))

    def shape_key(self, with_text: bool = False) -> tuple:
        """Equal for conditions that fit in one batch: which parts are present, and which switches are on.

        with_text: includes the number of text tokens
        """
        parts = [getattr(self, f.name) for f in fields(self)]
        there = tuple(part if isinstance(part, bool) else part is not None for part in parts)
        return (*there, self.text_tokens.shape[1], self.null_text_tokens.shape[1]) if with_text else there

    def window(self, start: int, stop: int) -> Conditions:
        """Latent frames `start` to `stop`. Text, global and reference tokens belong to the whole clip."""

        def cut(v: Tensor | None) -> Tensor | None:
            return None if v is None else v[:, start:stop]

        in_time = ("local_features", "onset_curve", "layout")
        changes: dict[str, Any] = {name: cut(getattr(self, name)) for name in in_time}
        return replace(self, **changes)

    def null_text(self) -> Conditions:
        """φ of eq. 7: the text dropped, and the reference with it; the video kept."""
        bare = self.without_reference()
        return replace(bare, text_tokens=self.null_text_tokens, text_mask=self.null_text_mask)

    def without_text(self) -> Conditions:
        """Without any caption, not even a negative one: all its tokens are masked."""
        return replace(self.without_reference(), text_mask=torch.zeros_like(self.text_mask))

    def with_reference(self, tokens: Tensor, has_reference: Tensor | None = None) -> Conditions:
        """With reference tokens, Tensor[B, R, D], of the items in `has_reference`, bool Tensor[B]; None: of all."""
        if has_reference is None:
            has_reference = torch.ones(len(tokens), dtype=torch.bool, device=tokens.device)
        return replace(self, reference_tokens=tokens, has_reference=has_reference)

    def without_reference(self) -> Conditions:
        """The reference dropped, as in training with dropout: its tokens are masked."""
        if self.has_reference is None:
            return self
        return replace(self, has_reference=torch.zeros_like(self.has_reference))

    def null_video(self) -> Conditions:
        """The video dropped: zeros, as in training with video dropout."""

        def zeros(v: Tensor | None) -> Tensor | None:
            return None if v is None else torch.zeros_like(v)

        return replace(
            self,
            global_tokens=zeros(self.global_tokens),
            local_features=zeros(self.local_features),
            onset_curve=zeros(self.onset_curve),
        )

    def context(self) -> Tensor:
        """c = [e_text; e_gv] of eq. 5, then the reference: Tensor[B, L + K + R, D]."""
        parts = [part for part in (self.text_tokens, self.global_tokens, self.reference_tokens) if part is not None]
        return torch.cat([part.to(self.text_tokens.dtype) for part in parts], 1) if len(parts) > 1 else parts[0]

    def context_mask(self) -> Tensor:
        """True for tokens of the context that are not masked: bool Tensor[B, L + K + R]."""
        parts = [self.text_mask]
        if self.global_tokens is not None:
            parts.append(torch.ones(self.global_tokens.shape[:2], dtype=torch.bool, device=self.text_mask.device))
        if self.reference_tokens is not None:
            assert self.has_reference is not None, "see `with_reference`"
            parts.append(self.has_reference[:, None].expand(self.reference_tokens.shape[:2]))
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]

    def times(self) -> Tensor | None:
        """When the tokens of the context are, if attention knows it (`time_bias.Places.times`): Tensor[L + K]."""
        return None

    def pooled_text(self) -> Tensor:
        """Mean of the text's tokens without padding: Tensor[B, D]."""
        weights = self.text_mask[..., None].to(self.text_tokens.dtype)
        return (self.text_tokens * weights).sum(1) / weights.sum(1).clamp(min=1)

    def control(self) -> Tensor | None:
        """Input of the ControlNet: Tensor[B, T, C], or [B, T, C + 1] with an onset curve."""
        if self.local_features is None or self.onset_curve is None:
            return self.local_features
        return torch.cat([self.local_features, self.onset_curve[..., None].to(self.local_features.dtype)], -1)


def concatenated(parts: list[Conditions]) -> Conditions:
    """The items of all parts in one batch. Texts of different lengths are padded and masked."""
    length = max(p.text_tokens.shape[1] for p in parts)
    null_length = max(p.null_text_tokens.shape[1] for p in parts)

    def joined(name: str) -> Any:
        values = [getattr(p, name) for p in parts]
        if any(v is None for v in values):
            return None
        if not isinstance(values[0], Tensor):  # shared by the parts
            return values[0]
        if name.startswith(("text", "null")):
            wanted = null_length if name.startswith("null") else length
            values = [
                torch.nn.functional.pad(v, ((0, 0) if v.ndim == 3 else ()) + (0, wanted - v.shape[1])) for v in values
            ]
        return torch.cat(values)

    return type(parts[0])(**{f.name: joined(f.name) for f in fields(parts[0])})
