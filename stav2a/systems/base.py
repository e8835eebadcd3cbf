"""What a system is: (frames, text) -> `Conditions`, and what it adds to the one training stage they all share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

from stav2a import presets
from stav2a.condition.in_time import fitted
from stav2a.condition.patches import level_widths
from stav2a.denoise.conditions import Conditions
from stav2a.denoise.sample import Guidance
from stav2a.systems import read_declaration


@dataclass(frozen=True)
class Steering:
    """What a person changes by hand, or leaves out; None where it is left to the system.

    layout: float32 [rows, bands] in the units of `layout_of` (TiVA). The switches are rows of STA-V2A's Table III.
    """

    onsets_s: Sequence[float] | None = None
    layout: np.ndarray | Sequence[Sequence[float]] | None = None
    use_control: bool = True
    use_onsets: bool = True
    use_global_tokens: bool = True


@dataclass(frozen=True)
class Learning:
    """A training batch as a system sees it.

    features: Tensor[B, T, D] of `System.look`   words: the captions, some empty   mel: log-mel Tensor[B, M, mel_bins]
    options: the stage's own. The stage drops pictures from what `learn` returns.
    """

    features: Tensor
    words: Conditions
    mel: Tensor
    options: dict


@dataclass(frozen=True)
class Widths:
    """Channels where a system meets other parts.

    feature: the video encoder's   levels: of its levels together (TiVA)   text: the text encoder's
    context: of the U-Net's cross-attention
    """

    feature: int
    levels: int
    text: int
    context: int

    @classmethod
    def of_size(cls, model: str) -> Widths:
        """Those of a size's own parts."""
        encoder, context = presets.VIDEO_ENCODER[model], presets.UNET[model]["cross_attention_dim"]
        levels = sum(level_widths(encoder["base_channels"], encoder["expansion"]))
        return cls(encoder["feature_dim"], levels, context, context)


@dataclass
class NoOptions:
    """A system without options of its own."""


class System(ModelMixin, ConfigMixin):
    """A way to condition. Subclasses are the `system` part of a checkpoint; their configuration names them.

    In a subclass `forward(features, words)` makes the `Conditions` of a batch; what else differs from the defaults
    below is overridden. A module that defines one ends in `SYSTEM = ItsClass` and has `ModelMixin` among its
    names, by which diffusers finds parts of other libraries. The YAML file beside it declares title and dials.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    hears_caption: ClassVar[bool] = True
    joint: ClassVar[bool] = False  # training drops caption and picture together
    positional: ClassVar[bool] = False  # tokens carry positions: windows must be as long as in training
    generates: ClassVar[bool] = True
    latent_channels: ClassVar[int] = 0  # channels beside the latents
    uses_encoder: ClassVar[bool] = True  # what it sees comes from the checkpoint's video encoder
    sampling: ClassVar[dict] = {"guidance_scale": 3.0, "video_guidance_scale": 1.0}  # the paper's own
    eyes: ClassVar[tuple[str, ...]] = ()  # submodules that `look` uses
    Options: ClassVar[type] = NoOptions  # a dataclass: names and types of what its stages are set by

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        own = read_declaration(Path(sys.modules[cls.__module__].__file__).with_suffix(".yaml"), cls.name)
        cls.title, cls.generates = own.title, own.generates
        if "hears_caption" not in vars(cls):
            cls.hears_caption = own.hears_caption

    @classmethod
    def sized(cls, model: str, options: dict | None = None, widths: Widths | None = None) -> System:
        """An untrained system for the sizes `model` (compact, paper, tiny); `options` are the stage's own, `widths`
        those of the parts that it joins (of the size's own, where not given).
        """
        raise NotImplementedError

    @property
    def extra_channels(self) -> int:
        """Channels beside the latents that this one, as it is set, has."""
        return self.latent_channels

    def sampling_defaults(self) -> dict:
        """What a checkpoint of this system, as it is set, samples with unless told otherwise."""
        return dict(self.sampling)

    @classmethod
    def resting(cls, options: dict) -> tuple[str, ...]:
        """Submodules that the diffusion stage leaves as they are."""
        return cls.eyes

    def look(self, frames: Tensor, cavp_features: Tensor, video_encoder) -> Tensor:
        """What the system sees: uint8 Tensor[T_v, H, W, 3], Tensor[T_v, D] -> Tensor[T_v, C], a row a frame.

        Called on stretches of a clip with some frames around them; without gradients.
        """
        return cavp_features

    def forward(self, features: Tensor, words: Conditions) -> Conditions:
        """Tensor[B, T, C] and the captions alone -> the conditions of a batch."""
        raise NotImplementedError

    def conditions(self, video, words: Conditions, length: int, steering: Steering) -> Conditions:
        """Conditions of a clip (the pipeline's `VideoFeatures`), `length` latent steps long."""
        return self(fitted(video.features, length), words)

    def layout(self, features: Tensor) -> Tensor | None:
        """The audio layout that the system expects of a clip, Tensor[B, rows, bands], if it has such a thing."""
        return None

    def caption(self, prompt: str, video, embed: Callable[[list[str]], Tensor]) -> str:
        """The caption that is used for a prompt, which may be empty; `embed`: captions -> Tensor[N, D]."""
        return prompt

    def learn(self, batch: Learning) -> tuple[Conditions, dict[str, Tensor]]:
        """Conditions to learn from, and losses besides the diffusion loss, by name; they are added to it."""
        return self(batch.features, batch.words), {}

    def guidance(self, dials: Guidance, scheduler, own: Mapping[str, float]) -> Guidance:
        """The guidance made of a person's dials; `own`: those that the system declares, as far as they are turned."""
        return dials
