"""Features and a caption to `Conditions`, all that steers the denoising."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from stav2a.condition import text
from stav2a.denoise.conditions import Conditions
from stav2a.dials import Dials
from stav2a.output import VideoFeatures
from stav2a.systems.base import Steering

from .parts import Parts


class Conditioning(Parts):
    """Encodes captions, and joins them with the features of a clip."""

    def encode_prompt(self, prompt: str, negative_prompt: str = "") -> Conditions:
        """Token embeddings of the captions, a batch of one."""
        captions = (self.defaults["prompt_prefix"] + prompt, negative_prompt)
        zeros = self.defaults["null_text"] == "zeros" and not negative_prompt

        def encode() -> Conditions:
            tokens, mask = text.encode(self.tokenizer, self.text_encoder, list(captions), self._execution_device)
            if zeros:
                return Conditions(tokens[:1], mask[:1], torch.zeros_like(tokens[:1]), mask[:1])
            return Conditions(tokens[:1], mask[:1], tokens[1:], mask[1:])

        return self.encoded_once(("prompt", captions, zeros), encode)

    @torch.no_grad()
    def embed(self, captions: Sequence[str]) -> Tensor:
        """The mean of each caption's tokens: Tensor[N, D]."""
        tokens, mask = text.encode(self.tokenizer, self.text_encoder, captions, self._execution_device)
        return Conditions(tokens, mask, tokens, mask).pooled_text()

    def caption(self, video: VideoFeatures, prompt: str = "") -> str:
        """The caption that the system uses for a prompt. TA-V2A retrieves one for an empty prompt."""
        return self.conditioner.caption(prompt, video, self.embed)

    def captions(self, video: VideoFeatures, dials: Dials, sampling: Mapping) -> tuple[str, str]:
        """The caption and the negative caption of a clip.

        Without a caption, a picture in which no onset is seen often gets silence, as silent clips of the training do.
        The checkpoint's `eventless_negative_prompt` leads guidance away from that.
        """
        prompt = self.caption(video, dials.prompt)
        onsets_s = video.onset.onsets_s if dials.onsets_s is None else dials.onsets_s
        eventless = not prompt and video.motion is not None and not len(onsets_s)
        return prompt, dials.negative_prompt or (sampling["eventless_negative_prompt"] if eventless else "")

    @torch.no_grad()
    def conditions(
        self, video: VideoFeatures, text_tokens: Conditions, dials: Dials, sampling: Mapping | None = None
    ) -> Conditions:
        """All that steers the denoising, a batch of one, padded to a length that the U-Net can halve.

        sampling: its switches are rows of the paper's Table III; by default the checkpoint's defaults.
        """
        sampling = sampling or self.defaults
        switches = (sampling["use_control"], sampling["use_onsets"], sampling["use_global_tokens"])
        steering = Steering(dials.onsets_s, dials.layout, *switches)
        made = self.conditioner.conditions(video, text_tokens, self.padded_length(video), steering)
        if video.motion is None:  # no picture: the null video of training
            made = made.null_video()
        return made.to(self._execution_device, self.unet.dtype)

    def padded_length(self, video: VideoFeatures) -> int:
        """Latent frames of a clip, up to the next length that the U-Net can halve at every level but the last."""
        multiple = 2 ** (len(self.unet.config.block_out_channels) - 1)
        return -(-video.local_features.shape[1] // multiple) * multiple
