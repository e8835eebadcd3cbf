"""Requests to the pipeline, and which of them share a pass of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from stav2a.dials import Dials
from stav2a.output import Recorded, VideoFeatures

from .strength import steps_from

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .conditions import Conditions


PER_REQUEST = ("guidance_scale", "onset_threshold", "strength")  # defaults that may differ within a pass


@dataclass(frozen=True)
class Request:
    """A clip and the dials of its sound.

    frames: uint8 [T_v, H, W, 3], RGB at the timeline's fps and size, or their features. The same object in several
    requests is encoded once. None: no picture
    duration_s: of the sound, needed without frames; frames only give it to the next frame
    reference: a sound that replaces the recordings of the shelf, float32 [S] at the timeline's sample rate
    defaults: override the checkpoint's own (`stav2a.models.defaults.DEFAULTS`), such as the switches of an ablation
    generators: on the CPU, one for all takes or one per take; they replace the seeds
    """

    frames: np.ndarray | Tensor | VideoFeatures | None
    dials: Dials = field(default_factory=Dials)
    defaults: Mapping = field(default_factory=dict)
    generators: torch.Generator | Sequence[torch.Generator] | None = None
    reference: np.ndarray | None = None
    duration_s: float | None = None

    @property
    def clip_key(self) -> tuple:
        """Equal for requests with the same features."""
        return (id(self.frames), self.duration_s)


@dataclass(frozen=True)
class Prepared:
    """A request whose clip and caption are encoded.

    sampling: the defaults of the checkpoint, overridden by the dials of the request
    prompt, negative_prompt: the captions that were used; seconds: by stage
    strength: below 1 denoising starts from `recording`; at 0 nothing is denoised, and `conditions` is None
    recording: also gives the reference tokens of a model that has them, at a strength of 1 those of a reference sound
    distilled: denoised by the distilled U-Net
    """

    index: int
    request: Request
    sampling: Mapping
    video: VideoFeatures
    prompt: str
    negative_prompt: str
    conditions: Conditions | None
    seconds: dict[str, float] = field(default_factory=dict)
    strength: float = 1.0
    recording: Recorded | None = None
    distilled: bool = False

    @property
    def takes(self) -> int:
        return self.request.dials.takes

    @property
    def passes_of_network(self) -> int:
        """Sampling steps that run: fewer than `steps` from a recording, none at strength 0."""
        return steps_from(self.sampling["steps"], self.strength)

    @cached_property
    def generators(self) -> list[torch.Generator]:
        """One generator per take: the request's own, or those of its seeds."""
        import torch

        given, seed = self.request.generators, self.request.dials.seed
        if given is None:
            return [torch.Generator().manual_seed(int(seed) + take) for take in range(self.takes)]
        return list(given) if isinstance(given, Sequence) else [given] * self.takes

    def settings(self) -> dict:
        """The settings that were used, by diffusers' names."""
        dials = self.request.dials
        return {
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "num_inference_steps": self.sampling["steps"],
            "controlnet_conditioning_scale": dials.control_scale,
            "seed": dials.seed,
            "takes": dials.takes,
            "guidance_scale": self.sampling["guidance_scale"],
            "video_guidance_scale": self.sampling["video_guidance_scale"],
            "sampler": self.sampling["sampler"],
            "strength": self.strength,
        }

    def pass_key(self) -> tuple:
        """Equal for requests that can be denoised together: only caption, onsets, seed and text guidance may differ.

        Without `mask_control` (like the authors) the ControlNet attends to the padding of the text, so all texts of a
        batch must have the same length.
        """
        dials = self.request.dials
        assert self.conditions is not None, "at strength 0 nothing is denoised"
        shared = tuple(sorted((name, value) for name, value in self.sampling.items() if name not in PER_REQUEST))
        return (
            self.strength,
            self.distilled,
            self.recording is None,
            self.video.local_features.shape[1],
            dials.control_scale,
            tuple(sorted(dials.own.items())),
            shared,
            self.conditions.shape_key(with_text=not self.sampling["mask_control"]),
        )


def passes(prepared: Sequence[Prepared], most: int) -> list[list[Prepared]]:
    """Groups of requests that share a pass, each of at most `most` takes, or one larger request; few steps first."""
    groups: dict[tuple, list[list[Prepared]]] = {}
    for item in prepared:
        own = groups.setdefault(item.pass_key(), [[]])
        if own[-1] and sum(other.takes for other in own[-1]) + item.takes > most:
            own.append([])
        own[-1].append(item)
    return sorted((group for parts in groups.values() for group in parts), key=lambda group: group[0].passes_of_network)
