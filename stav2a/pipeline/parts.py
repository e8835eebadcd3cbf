"""What the pipeline holds: its parts, its timeline and what it samples with."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from copy import copy
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

import torch

# diffusers takes a checkpoint's parts only from modules that have been imported
import stav2a.condition.attentive_pool
import stav2a.condition.cavp
import stav2a.condition.image_features.pool
import stav2a.condition.pretrained
import stav2a.condition.reference_pool
import stav2a.denoise.control  # noqa: F401
from stav2a.dials import Dial
from stav2a.media.memory import Memory
from stav2a.models.defaults import DEFAULTS, dials_of, with_distilled
from stav2a.models.pretrained import Pretrained
from stav2a.systems.base import System
from stav2a.systems.sta_v2a import STAV2A
from stav2a.timeline import Timeline
from stav2a.weights.faithful import mode_defaults

if TYPE_CHECKING:
    from typing_extensions import Self

Value = TypeVar("Value")
TEXTS_MB = 4.0  # of encoded captions, some hundreds
_TEXTS: WeakKeyDictionary[torch.nn.Module, Memory] = WeakKeyDictionary()  # of each text encoder


class Parts(Pretrained):
    """The modules of a checkpoint, registered as diffusers does. The arguments are explained at `STAV2APipeline`."""

    model_cpu_offload_seq = (
        "text_encoder->video_encoder->local_features->attentive_pool->image_pool->reference_pool->unet"
        "->distilled_unet->vae->vocoder"
    )

    # the video encoder runs some convolutions as 2-D ones on the weight itself, which bypasses the offloading hooks
    _exclude_from_cpu_offload = ["video_encoder", "system"]
    _optional_components = [
        "local_features",
        "attentive_pool",
        "controlnet",
        "system",
        "image_pool",
        "reference_pool",
        "unet",
        "distilled_unet",
        "vae",
        "vocoder",
        "scheduler",
    ]
    _mode: dict = {}  # settings that win over the checkpoint's own
    _conditioner: STAV2A | None = None

    def __init__(  # type: ignore[no-untyped-def]  # diffusers reads the annotations of parts and warns of most
        self,
        video_encoder,
        local_features,
        attentive_pool,
        tokenizer,
        text_encoder,
        unet,
        controlnet,
        scheduler,
        vae,
        vocoder,
        system=None,
        image_pool=None,
        reference_pool=None,
        distilled_unet=None,
        timeline: dict | None = None,
        defaults: dict | None = None,
        provenance: dict | None = None,
    ):
        super().__init__()
        self.register_modules(
            video_encoder=video_encoder,
            local_features=local_features,
            attentive_pool=attentive_pool,
            tokenizer=tokenizer,
            text_encoder=text_encoder,
            unet=unet,
            controlnet=controlnet,
            scheduler=scheduler,
            vae=vae,
            vocoder=vocoder,
            system=system,
            image_pool=image_pool,
            reference_pool=reference_pool,
            distilled_unet=distilled_unet,
        )
        for part in filter(
            None, (self.unet, self.distilled_unet, self.controlnet, self.vae)
        ):  # a sixth less time for 2-D ones on CPU
            part.to(memory_format=torch.channels_last)
        self.register_to_config(
            timeline=dict(timeline or {}), defaults=dict(defaults or {}), provenance=dict(provenance or {})
        )

    @property
    def _execution_device(self) -> torch.device:
        """Where inputs go. diffusers looks for hooks of offloading in every module, which takes 11 ms; they are on a
        part or right within it.
        """
        parts = [part for part in vars(self).values() if isinstance(part, torch.nn.Module)]
        modules = [module for part in parts for module in (part, *part.children())]
        if not any(hasattr(module, hook) for module in modules for hook in ("_hf_hook", "_diffusers_hook")):
            for part in parts:
                for parameter in part.parameters():
                    return parameter.device
        return super()._execution_device

    @property
    def timeline(self) -> Timeline:
        return Timeline(**self.config.timeline)

    @property
    def defaults(self) -> dict:
        """Sampling defaults: `DEFAULTS`, overridden by the checkpoint's own, then by those of the mode."""
        own = with_distilled({**DEFAULTS, **self.config.defaults}, self.distilled_unet is not None)
        return {**own, **self._mode}

    def in_mode(self, mode: str | None) -> Self:
        """The same parts with the settings of a named mode. None returns this pipeline.

        "faithful" samples as the authors' script does; its settings win over the checkpoint's own.
        """
        if mode is None:
            return self
        other = copy(self)
        other._mode = mode_defaults(mode, self.timeline)
        return other

    @property
    def dials(self) -> dict[str, Dial]:
        """The dials of this checkpoint that not every model has."""
        config = {} if self.system is None else self.system.config
        return dials_of(self.conditioner.name, self.config.provenance.get("model"), config)

    @property
    def has_onset_channel(self) -> bool:
        """Whether the ControlNet takes an onset curve beside the local features: onsets can be edited."""
        control = self.controlnet
        return control is not None and control.config.conditioning_channels > self.local_features.config.local_dim

    @property
    def conditioner(self) -> System:
        """Makes conditions of features and caption: the checkpoint's `system`, or STA-V2A's own parts."""
        if self.system is not None:
            return self.system
        built, latent_frame_s = self._conditioner, self.timeline.latent_frame_s if self.has_onset_channel else None
        parts = (self.attentive_pool, latent_frame_s, self.image_pool)
        if built is None or parts != (
            built.attentive_pool,
            built.latent_frame_s,
            built.image_pool,
        ):  # a part was replaced
            built = self._conditioner = STAV2A(*parts)
        return built

    def encoded_once(self, what: Hashable, make: Callable[[], Value]) -> Value:
        """`make()`, or what it gave before for the same captions with these weights of the text encoder."""
        if torch.is_inference_mode_enabled():  # what is made there serves nowhere else
            return make()
        encoder = self.text_encoder
        state = (sum(parameter._version for parameter in encoder.parameters()), encoder.dtype, self._execution_device)
        return _TEXTS.setdefault(encoder, Memory(TEXTS_MB)).once((what, state), make)

    def compile(self, backend: str = "inductor", mode: str | None = None) -> None:
        """`torch.compile` U-Net, ControlNet and VAE decoder in place. The first clip of each length then takes minutes.

        mode: torch's, such as "reduce-overhead", which runs the steps as CUDA graphs.
        """
        for part in (self.unet, self.distilled_unet, self.controlnet, self.vae and self.vae.decoder):
            if part is not None:
                part.compile(backend=backend, mode=mode)
