"""Video to audio: frames and a caption -> features -> conditions -> latents -> mel -> waveform.

One file a stage, in this order: `video`, `conditions`, `recordings`, `latents`. `stream` runs them for requests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stav2a.denoise.request import Request
from stav2a.dials import Dials
from stav2a.media.in_memory import clips_of, for_model
from stav2a.output import STAV2AOutput, VideoFeatures

from .stream import Streaming


class STAV2APipeline(Streaming):
    """Video-to-audio with semantic and temporal alignment (STA-V2A).

    Args of the constructor:
        timeline: the checkpoint's `Timeline` as a dict.
        defaults: the checkpoint's own sampling defaults.
        provenance: where the checkpoint comes from, for its model card.
        system: another way to condition the same generator (`stav2a/systems`); `attentive_pool` and `controlnet` are
            then None.
        image_pool: pools the features of a pretrained image network into tokens that join the global ones.
        reference_pool: pools the latents of recordings into tokens that join the caption's.
        distilled_unet: a U-Net for at most three steps, with guidance learnt (`stav2a/denoise/few_steps.py`).
        The other parts are modules of diffusers, transformers or this package.
    """

    def __call__(
        self,
        frames: Any,
        prompt: str | list[str] = "",
        negative_prompt: str | list[str] = "",
        *,
        fps: float | list[float] | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | list[float] | None = None,
        video_guidance_scale: float | None = None,
        controlnet_conditioning_scale: float = 1.0,
        sampler: str | None = None,
        seed: int | list[int] = 0,
        takes: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        onsets_s: Sequence[float] | None = None,
        onset_threshold: float | None = None,
        layout: np.ndarray | None = None,
        strength: float | None = None,
        reference: np.ndarray | None = None,
        duration_s: float | None = None,
        use_control: bool | None = None,
        use_onsets: bool | None = None,
        use_global_tokens: bool | None = None,
        mode: str | None = None,
        callback_on_step_end: Callable | None = None,
        return_dict: bool = True,
        **own_dials: float | None,
    ) -> STAV2AOutput | list[STAV2AOutput] | tuple:
        """Generate sound for a clip, or for each clip of a list.

        Args:
            frames: a clip in any form of `stav2a.media.in_memory.for_model`: [T, H, W, C] or [T, C, H, W], uint8 or
                floats in [0, 1], a list of pictures, or a file; features of `encode_video`; or a list of clips, with
                which prompt, negative_prompt, guidance_scale, seed and fps may be lists as well. None: no picture.
            fps: frames per second of a clip that is not a file; the timeline's if None.
            prompt: what should be heard.
            negative_prompt: what should not be heard.
            num_inference_steps: sampling steps. None means the checkpoint's own value, here and below.
            guidance_scale: w of eq. 7, how closely the sound follows the caption.
            video_guidance_scale: guidance by the picture alone; 1 turns it off.
            controlnet_conditioning_scale: how strongly the onsets time the sound.
            sampler: a name of `stav2a.denoise.sample.SAMPLERS`.
            seed: take k is drawn with the seed `seed + k`, on the CPU.
            takes: sounds of one clip, K.
            generator: replaces the seeds: one on the CPU, or one per take.
            onsets_s: times in seconds that replace the predicted ones, where the model has an onset channel.
            onset_threshold: least probability of a predicted onset; lower finds more.
            strength: 0 returns recordings found by caption and placed at the onsets. 1 starts from noise. Between them
                denoising starts from the recording with noise added, as in image-to-image.
            reference: a sound that replaces the recordings, float32 [S] at the timeline's sample rate.
            duration_s: length of the sound if `frames` is None.
            layout: float32 [rows, bands] in [0, 1] in place of the predicted audio layout (TiVA).
            use_control, use_onsets, use_global_tokens: leave out the ControlNet, the onset curve or the global tokens
                (rows of the paper's Table III).
            mode: "faithful" samples as the authors' script does.
            callback_on_step_end: called as `callback(pipe, step, timestep, {"latents": latents})` after every step.
                Latents in the dict that it returns replace these.
            return_dict: False returns the tuple (waveforms,) instead of an output.
            own_dials: dials that the checkpoint's system declares, such as `negative_guidance_scale` of TA-V2A.
        """
        switches = {"use_control": use_control, "use_onsets": use_onsets, "use_global_tokens": use_global_tokens}
        defaults = {name: value for name, value in switches.items() if value is not None}
        shared: dict[str, Any] = {
            "video_guidance_scale": video_guidance_scale,
            "steps": num_inference_steps,
            "sampler": sampler,
            "takes": takes,
            "control_scale": controlnet_conditioning_scale,
            "onsets_s": onsets_s,
            "onset_threshold": onset_threshold,
            "layout": layout,
            "strength": strength,
            "own": self._own_dials(own_dials),
        }
        listed = {
            "prompt": prompt,
            "negative_prompt": negative_prompt,
            "guidance_scale": guidance_scale,
            "seed": seed,
            "fps": fps,
        }
        clips, requests, read = clips_of(frames), [], {}
        for clip, values in zip(clips, _per_clip(listed, len(clips)), strict=True):
            rate, length_s = values.pop("fps"), duration_s if clip is None else None
            if clip is not None and not isinstance(clip, VideoFeatures):
                key = id(clip), rate  # the same object in several places is read and encoded once
                if key not in read:
                    read[key] = for_model(clip, self.timeline, rate)
                clip, length_s = read[key]
            requests.append(Request(clip, Dials(**shared, **values), defaults, generator, reference, length_s))

        def on_step(step: int, timestep: Tensor, latents: Tensor) -> Tensor:
            assert callback_on_step_end is not None
            return (callback_on_step_end(self, step, timestep, {"latents": latents}) or {}).get("latents", latents)

        stream = self.in_mode(mode).stream(requests, on_step=None if callback_on_step_end is None else on_step)
        outputs = sorted((item for item in stream if isinstance(item, STAV2AOutput)), key=lambda item: item.index)
        if return_dict:
            return outputs if clips is frames else outputs[0]
        waveforms = [output.waveforms for output in outputs]
        return (waveforms if clips is frames else waveforms[0],)

    def _own_dials(self, given: Mapping[str, float | None]) -> dict[str, float]:
        if unknown := [name for name in given if name not in self.dials]:
            raise TypeError(f"The system {self.conditioner.name} has no dial {unknown[0]!r}.")
        return {name: value for name, value in given.items() if value is not None}


def _per_clip(values: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """The values of each clip: its own item of a list, or the one value that all clips share."""
    for name, value in values.items():
        if isinstance(value, list) and len(value) != count:
            raise ValueError(f"There are {count} clips and {len(value)} values of {name}.")
    return [{name: v[k] if isinstance(v, list) else v for name, v in values.items()} for k in range(count)]
