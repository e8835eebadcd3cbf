"""Conditions and noise to latents, and latents to sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from stav2a.condition.chunks import in_chunks, in_windows
from stav2a.denoise.conditions import concatenated
from stav2a.denoise.few_steps import MOST_STEPS, DistilledGuidance, distilled_sampler
from stav2a.denoise.request import Prepared
from stav2a.denoise.sample import Guidance, denoise, make_sampler
from stav2a.dials import Dials
from stav2a.models.defaults import DEFAULTS
from stav2a.sound import vae as mel_vae
from stav2a.sound.equalise import equalised
from stav2a.sound.vocoder import vocode, with_noise

from .conditions import Conditioning
from .recordings import Recordings

DECODE_HALO = 8  # latent frames of context on either side of a chunk of sound
WINDOW, HALO = 320, 24  # mel frames that the vocoder gets at once on a CPU, and their context; HiFi-GAN's is 19 at most


class Denoising(Conditioning, Recordings):
    """Denoises prepared requests and decodes their latents."""

    @torch.no_grad()
    def denoise(self, group: Sequence[Prepared], on_step: Callable | None = None) -> Iterator[Tensor]:
        """Yield latents Tensor[K, C, T, F] after each step, one item per take. Noise is drawn on the CPU.

        group: requests of one `pass_key`. on_step: see `stav2a.denoise.sample.denoise`.
        """
        first, timeline = group[0], self.timeline
        generators = [generator for item in group for generator in item.generators]
        length = self.padded_length(first.video)
        shape = (timeline.latent_channels, length, timeline.latent_bins)
        noise = torch.stack([torch.randn(shape, generator=generator) for generator in generators])
        conditions = concatenated([item.conditions.repeat(item.takes) for item in group if item.conditions is not None])
        start = None
        if waveforms := [item.recording.waveforms for item in group if item.recording is not None]:
            start = self.encode_sound(np.concatenate(waveforms), length).to(self.unet.dtype)
            conditions = self.refer(conditions, start)
        few = first.distilled
        yield from denoise(
            self.distilled_unet if few else self.unet,
            self.controlnet,
            distilled_sampler(self.scheduler) if few else make_sampler(first.sampling["sampler"], self.scheduler),
            noise.to(self._execution_device, self.unet.dtype),
            conditions,
            self.guidance(group),
            first.sampling["steps"],
            self.defaults.get("window_steps") or timeline.latent_frames,
            generators,
            first.sampling["timestep_power"],
            on_step,
            start,
            first.strength,
        )

    def distilled_serves(self, dials: Dials, sampling: Mapping) -> bool:
        """Whether the distilled U-Net can denoise a request. It has learnt no negative caption and one sampler."""
        return (
            self.distilled_unet is not None
            and not dials.negative_prompt
            and sampling["steps"] <= MOST_STEPS
            and sampling["sampler"] == DEFAULTS["sampler"]
        )

    def guidance(self, group: Sequence[Prepared]) -> Guidance:
        """The guidance of a pass. Each request has its own text scale."""
        first, dials = group[0], group[0].request.dials
        scales = tuple(item.sampling["guidance_scale"] for item in group for _ in range(item.takes))
        made = (DistilledGuidance if first.distilled else Guidance)(
            text=scales[0] if len(set(scales)) == 1 else scales,
            video=first.sampling["video_guidance_scale"],
            control=dials.control_scale,
            mask_control=first.sampling["mask_control"],
            guided_share=first.sampling["guided_share"],
            rescale=first.sampling["guidance_rescale"],
        )
        return self.conditioner.guidance(made, self.scheduler, dials.own)

    @torch.no_grad()
    def decode(self, latents: Tensor, samples: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Tensor[K, C, T, F] -> waveforms float32 [K, samples], log-mels float32 [K, M, mel_bins].

        Long sequences are decoded in chunks with context on both sides, so that memory does not grow with length.
        """
        timeline = self.timeline
        per_latent, hop = timeline.mel_per_latent, timeline.hop_length

        def to_wave(part: Tensor) -> Tensor:
            return vocode(self.vocoder, part.transpose(0, 1)).transpose(0, 1)

        # in_chunks splits the first axis, time: latents [T, K, C, F] -> mel [M, K, mel_bins] -> waveform [S, K]
        def to_mel(part: Tensor) -> Tensor:
            return mel_vae.decode(self.vae, part.permute(1, 2, 0, 3))[:, 0].transpose(0, 1)

        sequence = latents.permute(2, 0, 1, 3)
        mel = in_chunks(to_mel, sequence, timeline.latent_frames, DECODE_HALO, per_latent)
        heard = with_noise(self.vocoder, mel.transpose(0, 1)).transpose(0, 1)  # of the whole, so chunks fit together
        if latents.device.type == "cpu":
            wave = in_windows(to_wave, heard, WINDOW, HALO, hop)
        else:
            wave = in_chunks(to_wave, heard, timeline.mel_frames, DECODE_HALO * per_latent, hop)
        samples = samples or wave.shape[0]
        waves, mels = wave.transpose(0, 1).float(), mel.transpose(0, 1).float()
        waves = equalised(waves, mels, timeline, self.defaults["equaliser_rounds"])
        waveforms = waves.clamp(-1, 1).cpu().numpy()[:, :samples]
        frames = -(-samples // hop)
        return waveforms, mels.cpu().numpy()[:, :frames]
