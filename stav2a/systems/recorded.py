"""Recorded: real recordings, found by caption and placed at the onsets (`stav2a/recordings`), without a generator.

A baseline for generators, and useful to sound editors: dry, exactly timed, with credits.
"""

from __future__ import annotations

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401  (diffusers finds a system by it)

from .base import System, Widths


class Recorded(System):
    name = "recorded"

    @register_to_config
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("nothing", torch.zeros(1))  # diffusers asks every part where its tensors are

    @classmethod
    def sized(cls, model: str, options: dict | None = None, widths: Widths | None = None) -> Recorded:
        return cls()


SYSTEM = Recorded
