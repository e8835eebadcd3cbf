"""Recordings as the sound of a clip, as the start of denoising, or as tokens that steer it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from stav2a.condition import text
from stav2a.condition.chunks import in_chunks
from stav2a.recordings.compose import Score, most_likely_onset, strengths_of
from stav2a.recordings.perform import perform
from stav2a.recordings.reference import REFERENCE_STRENGTH, reference_voice
from stav2a.recordings.shelf import shipped
from stav2a.sound import vae as mel_vae
from stav2a.sound.mel import log_mel

from .parts import Parts

if TYPE_CHECKING:
    from stav2a.denoise.conditions import Conditions
    from stav2a.denoise.request import Request
    from stav2a.dials import Dials
    from stav2a.output import Recorded, VideoFeatures

START_PEAK = 0.6  # of recordings that denoising starts from, like the sounds of training
CODE_HALO = 8  # latent frames of context on either side of a chunk


def at_start_peak(waveforms: np.ndarray) -> np.ndarray:
    """float32 [..., S], each at a peak of START_PEAK; silence stays silent."""
    peaks = np.abs(waveforms).max(axis=-1, keepdims=True)
    return (waveforms * (START_PEAK / np.maximum(peaks, 1e-6))).astype(np.float32)


class Recordings(Parts):
    """Places recordings at the onsets of a clip and encodes them."""

    def strength(self, request: Request, sampling: Mapping) -> float:
        """The strength of image-to-image pipelines: the request's, else the checkpoint's own.

        With a reference sound it is at most REFERENCE_STRENGTH, since at 1 nothing but its tokens has an effect, in a
        model that has them. Without a caption no recording can be chosen: 1, which starts from noise.
        """
        if not self.conditioner.generates:
            return 0.0
        if request.dials.strength is not None:
            return request.dials.strength
        if request.reference is not None:
            return min(sampling["strength"], REFERENCE_STRENGTH)
        return sampling["strength"] if request.dials.prompt.strip() else 1.0

    def place_recordings(
        self, video: VideoFeatures, prompt: str, dials: Dials, reference: np.ndarray | None = None
    ) -> Recorded:
        """Recordings found by caption, or the reference sound, at the onsets."""
        fps, onset = self.timeline.fps, video.onset
        onsets_s = onset.onsets_s if dials.onsets_s is None else dials.onsets_s
        if dials.onsets_s is None and not len(onsets_s):
            onsets_s = most_likely_onset(onset.curve, onset.latent_frame_s)
        strengths, by_hand = strengths_of(onsets_s, video.motion, fps), dials.onsets_s is not None
        score = Score(video.duration_s, onsets_s, strengths, video.motion, fps, by_hand)
        rate, seeds = self.timeline.sample_rate, [dials.seed + take for take in range(dials.takes)]
        voice = None if reference is None else reference_voice(reference, rate)
        return perform(shipped(), prompt, self.embed_as_shelf, score, seeds, rate, voice)

    def embed_as_shelf(self, captions: Sequence[str]) -> np.ndarray:
        """MiniLM embeddings like those of the shelf: float32 [N, 384], unit length."""
        own = self.text_encoder.config
        is_minilm = own.model_type == "bert" and own.hidden_size == text.MINILM_DIM
        parts = (self.tokenizer, self.text_encoder) if is_minilm else text.minilm()
        return self.encoded_once(("shelf", *captions), lambda: text.sentence_embeddings(*parts, captions).numpy())

    def refer(self, conditions: Conditions, latents: Tensor) -> Conditions:
        """With the tokens of recordings, Tensor[B, C, T, F], in a model that has them. One by one, to save memory."""
        if self.reference_pool is None:
            return conditions
        latents = latents.to(self.reference_pool.dtype)
        return conditions.with_reference(torch.cat([self.reference_pool(one) for one in latents.split(1)]))

    @torch.no_grad()
    def encode_sound(self, waveforms: np.ndarray, length: int) -> Tensor:
        """float32 [K, S] -> latents Tensor[K, C, length, F]; the inverse of `decode`, at a peak of START_PEAK."""
        timeline = self.timeline
        samples = length * timeline.mel_per_latent * timeline.hop_length
        waveforms = at_start_peak(waveforms)
        padded = np.pad(waveforms[:, :samples], ((0, 0), (0, max(0, samples - waveforms.shape[1]))))
        mel = log_mel(torch.from_numpy(padded).to(self._execution_device), timeline).to(self.vae.dtype)

        def encode(part: Tensor) -> Tensor:  # [T, mel frames of each, K, mel_bins] -> [T, K, C, F]
            return mel_vae.encode(self.vae, part.flatten(0, 1).transpose(0, 1)[:, None]).permute(2, 0, 1, 3)

        sequence = mel.transpose(0, 1).unflatten(0, (length, timeline.mel_per_latent))
        return in_chunks(encode, sequence, timeline.latent_frames, CODE_HALO, 1).permute(1, 2, 0, 3)
