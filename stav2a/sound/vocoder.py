"""HiFi-GAN (transformers' `SpeechT5HifiGan`): log-mel [B, M, mel_bins] -> waveform [B, S].

A small one that sees the mel-spectrogram alone makes noise, such as wind or rain, by repeating one grain every few
frames, which is heard as a tone. compact's gets channels of noise beside the mel bands: no two frames are alike.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

from stav2a.presets import VOCODER
from stav2a.timeline import COMPACT, Timeline

from . import channels_last

NOISE_SEED = 0  # the same latents make the same sound


def vocoder_config(name: str, timeline: Timeline = COMPACT) -> SpeechT5HifiGanConfig:
    """`paper`, `compact` or `tiny`. The mel goes in as it is (`normalize_before` off), as in AudioLDM."""
    sizes = dict(VOCODER[name])
    config = SpeechT5HifiGanConfig(
        model_in_dim=timeline.mel_bins + sizes.pop("noise_channels", 0),
        sampling_rate=timeline.sample_rate,
        leaky_relu_slope=0.1,
        normalize_before=False,
        **sizes,
    )
    hop = math.prod(config.upsample_rates)
    assert hop == timeline.hop_length, f"{hop=} {timeline.hop_length=}"
    return config


def build_vocoder(name: str, timeline: Timeline = COMPACT) -> SpeechT5HifiGan:
    """An untrained vocoder."""
    return SpeechT5HifiGan(vocoder_config(name, timeline))


def with_noise(vocoder: SpeechT5HifiGan, mel: Tensor) -> Tensor:
    """log-mel Tensor[B, M, mel_bins] -> Tensor[B, M, model_in_dim]: the bands, then the noise that this vocoder takes.

    Each frame has its own noise, the same in all of a batch. What has it already, or needs none, is returned as it is.
    """
    channels = vocoder.config.model_in_dim - mel.shape[2]
    if not channels:
        return mel
    noise = torch.randn(mel.shape[1], channels, generator=torch.Generator().manual_seed(NOISE_SEED))
    return torch.cat([mel, noise.to(mel).expand(len(mel), -1, -1)], 2)


def widened(vocoder: SpeechT5HifiGan, channels: int) -> SpeechT5HifiGan:
    """The vocoder with `channels` inputs in all. The new ones are for noise; their weights spread like the others'.

    Raises ValueError if it has more already.
    """
    old, new = vocoder.conv_pre, channels - vocoder.config.model_in_dim
    if new < 0:
        raise ValueError(f"The vocoder takes {vocoder.config.model_in_dim} channels, more than {channels}.")
    if new:
        conv = nn.Conv1d(channels, old.out_channels, old.kernel_size, padding=old.padding)
        drawn = old.weight.detach().std() * torch.randn(len(old.weight), new, *old.kernel_size)
        conv.load_state_dict({"weight": torch.cat([old.weight.detach(), drawn.to(old.weight)], 1), "bias": old.bias})
        vocoder.conv_pre = conv
        vocoder.mean = torch.cat([vocoder.mean, vocoder.mean.new_zeros(new)])
        vocoder.scale = torch.cat([vocoder.scale, vocoder.scale.new_ones(new)])
        vocoder.config.model_in_dim = channels
    return vocoder


def vocode(vocoder: SpeechT5HifiGan, mel: Tensor, samples: int | None = None) -> Tensor:
    """log-mel Tensor[B, M, mel_bins], with or without noise -> waveform Tensor[B, samples], full scale at 1.0.

    The paper's rates and kernels give 32 samples more than M hops hold (163,872 for 1,024 frames); they are
    cut from the end. `samples` defaults to M hops.
    """
    if samples is None:
        samples = mel.shape[1] * math.prod(vocoder.config.upsample_rates)
    mel = with_noise(vocoder, mel)
    on_cpu = mel.device.type == "cpu"
    here = vocoder.conv_pre.weight.device == mel.device  # offloaded weights come with a module's own forward alone
    waveform = channels_last.forward(vocoder, mel) if on_cpu and here else vocoder(mel)
    return waveform[:, :samples]


def from_audioldm_layout(state_dict: dict[str, Tensor], mel_bins: int = 64) -> dict[str, Tensor]:
    """Keys of AudioLDM's vocoder (weight norm removed) -> `SpeechT5HifiGan`'s keys.

    The two buffers that transformers adds, mean 0 and scale 1, are written explicitly for a strict load.
    """
    renamed = {key.replace("ups.", "upsampler.", 1): value for key, value in state_dict.items()}
    return {**renamed, "mean": torch.zeros(mel_bins), "scale": torch.ones(mel_bins)}
