"""`System`, the base class of conditioners: features of frames and a caption -> `Conditions`, and their training."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor
from torch.nn import Module

from stav2a import presets
from stav2a.condition.in_time import fitted
from stav2a.condition.patches import level_widths, pixels_of
from stav2a.denoise.conditions import Conditions
from stav2a.denoise.sample import Guidance
from stav2a.systems.declaration import read_declaration

if TYPE_CHECKING:
    from diffusers import SchedulerMixin

    from stav2a.output import VideoFeatures


@dataclass(frozen=True)
class Steering:
    """Conditions set by hand, None where the system predicts them; and switches, the rows of STA-V2A's Table III.

    layout: float32 [rows, bands] in the units of `layout_of` (TiVA)
    """

    onsets_s: Sequence[float] | None = None
    layout: np.ndarray | Sequence[Sequence[float]] | None = None
    use_control: bool = True
    use_onsets: bool = True
    use_global_tokens: bool = True


@dataclass(frozen=True)
class TrainingBatch:
    """A training batch of a system.

    features: Tensor[B, T, D] of `System.encode_frames`   text: the captions, some empty
    mel: log-mel Tensor[B, M, mel_bins]
    options: of the stage. The stage then drops the video of some items.
    """

    features: Tensor
    text: Conditions
    mel: Tensor
    options: dict


@dataclass(frozen=True)
class Widths:
    """Channels of the parts that a system connects to.

    feature: the video encoder's   levels: of its levels together (TiVA)   text: the text encoder's
    context: of the U-Net's cross-attention
    """

    feature: int
    levels: int
    text: int
    context: int

    @classmethod
    def of_size(cls, model: str) -> Widths:
        """Widths of the parts of a preset."""
        encoder, context = presets.VIDEO_ENCODER[model], presets.UNET[model]["cross_attention_dim"]
        levels = sum(level_widths(encoder["base_channels"], encoder["expansion"]))
        return cls(encoder["feature_dim"], levels, context, context)


@dataclass
class NoOptions:
    """A system without options of its own."""


class System(ModelMixin, ConfigMixin):
    """Base class of conditioners. A subclass is the `system` part of a checkpoint.

    A subclass implements `forward(features, text)`, which returns the `Conditions` of a batch, and overrides the
    defaults below where it differs. Its module ends in `SYSTEM = ItsClass` and imports `ModelMixin`: diffusers only
    loads parts from modules that have this name. The YAML file beside the module declares title and dials.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    uses_caption: bool = True
    joint: ClassVar[bool] = False  # caption and picture are dropped together, in training and guidance
    has_positions: ClassVar[bool] = False  # tokens have positions: windows must be as long as in training
    generates: ClassVar[bool] = True
    uses_video_encoder: ClassVar[bool] = True  # its features come from the checkpoint's video encoder
    sampling: ClassVar[dict] = {"guidance_scale": 3.0, "video_guidance_scale": 1.0}  # the paper's own
    encoders: ClassVar[tuple[str, ...]] = ()  # submodules that `encode_frames` uses
    encodes_by: ClassVar[tuple[str, ...]] = ()  # settings that its result depends on
    Options: ClassVar[type] = NoOptions  # dataclass of the options of its training stage

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = read_declaration(Path(inspect.getfile(cls)).with_suffix(".yaml"), cls.name)
        cls.title, cls.generates = own.title, own.generates
        if "uses_caption" not in vars(cls):
            cls.uses_caption = own.uses_caption

    @classmethod
    def sized(cls, model: str, options: dict | None = None, widths: Widths | None = None) -> System:
        """An untrained system of a preset (compact, paper, tiny).

        options: of the training stage   widths: of the parts it connects to, by default those of the preset
        """
        raise NotImplementedError

    @property
    def extra_channels(self) -> int:
        """Input channels of the U-Net beside the latents."""
        return 0

    def sampling_defaults(self) -> dict:
        """Sampling defaults of a checkpoint with this configuration."""
        return dict(self.sampling)

    @classmethod
    def frozen(cls, options: dict) -> tuple[str, ...]:
        """Submodules that the diffusion stage does not train."""
        return cls.encoders

    def encode_frames(self, frames: Tensor, video_encoder: Module, cavp_features: Tensor | None = None) -> Tensor:
        """uint8 Tensor[T_v, H, W, 3] -> the system's features, Tensor[T_v, C], one row per frame.

        cavp_features: Tensor[T_v, D], the video encoder's features of the frames if they are known already.
        Called on chunks of a clip with some frames of context, without gradients.
        """
        return video_encoder(pixels_of(frames, video_encoder))[0] if cavp_features is None else cavp_features

    def forward(self, features: Tensor, text: Conditions) -> Conditions:
        """Features Tensor[B, T, C] and captions -> the conditions of a batch."""
        raise NotImplementedError

    def conditions(self, video: VideoFeatures, text: Conditions, length: int, steering: Steering) -> Conditions:
        """Conditions of a clip (the pipeline's `VideoFeatures`), `length` latent frames long."""
        assert video.features is not None, "features of another system"
        return self(fitted(video.features, length), text)

    def layout(self, features: Tensor) -> Tensor | None:
        """The predicted audio layout, Tensor[B, rows, bands], if the system has one."""
        return None

    def caption(self, prompt: str, video: VideoFeatures, embed: Callable[[list[str]], Tensor]) -> str:
        """The caption to use for a prompt, which may be empty. `embed`: captions -> Tensor[N, D]."""
        return prompt

    def training_conditions(self, batch: TrainingBatch) -> tuple[Conditions, dict[str, Tensor]]:
        """Conditions for the diffusion loss, and further losses by name, which are added to it."""
        return self(batch.features, batch.text), {}

    def guidance(self, dials: Guidance, scheduler: SchedulerMixin, own: Mapping[str, float]) -> Guidance:
        """The guidance for these dials. `own`: values of the dials that the system itself declares."""
        return dials
