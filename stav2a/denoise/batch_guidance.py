"""Guidance of its own for every item of a batch, so that one batch holds several guidance scales."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from torch import Tensor

from .conditions import Conditions
from .sample import Guidance


@dataclass(frozen=True)
class BatchGuidance(Guidance):
    """As `Guidance`, with `scales[i]` in place of `text` for item i."""

    scales: tuple[float, ...] = ()

    def branches(self, conditions: Conditions) -> list[Conditions]:
        assert len(conditions) == len(self.scales), f"{len(conditions)=}, {len(self.scales)=}"
        if len(set(self.scales)) == 1:
            return replace(self.alike(), text=self.scales[0]).branches(conditions)
        if self.video == 1:
            return [conditions.null_text(), conditions]
        return [conditions.null_text().null_video(), conditions.null_text(), conditions]

    def off(self) -> Guidance:
        return self.alike().off()

    def alike(self) -> Guidance:
        """The dials that all items share."""
        return Guidance(**{f.name: getattr(self, f.name) for f in fields(Guidance)})

    def combine(self, predictions: tuple[Tensor, ...]) -> Tensor:
        """Each prediction is Tensor[B, C, T, F]."""
        if len(predictions) == 1:
            return predictions[0]
        scales = predictions[0].new_tensor(self.scales)[:, None, None, None]
        if len(predictions) == 2:
            without, full = predictions
            return without + scales * (full - without)
        nothing, video, full = predictions
        return nothing + self.video * (video - nothing) + scales * (full - video)
