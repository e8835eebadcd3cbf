"""HiFi-GAN (transformers' `SpeechT5HifiGan`): log-mel [B, M, mel_bins] -> waveform [B, S]."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

from stav2a.presets import VOCODER
from stav2a.timeline import COMPACT, Timeline

from . import channels_last


def vocoder_config(name: str, timeline: Timeline = COMPACT) -> SpeechT5HifiGanConfig:
    """`paper`, `compact` or `tiny`. The mel goes in as it is (`normalize_before` off), as in AudioLDM."""
    config = SpeechT5HifiGanConfig(
        model_in_dim=timeline.mel_bins,
        sampling_rate=timeline.sample_rate,
        leaky_relu_slope=0.1,
        normalize_before=False,
        **VOCODER[name],
    )
    hop = math.prod(config.upsample_rates)
    assert hop == timeline.hop_length, f"{hop=} {timeline.hop_length=}"
    return config


def build_vocoder(name: str, timeline: Timeline = COMPACT) -> SpeechT5HifiGan:
    """An untrained vocoder."""
    return SpeechT5HifiGan(vocoder_config(name, timeline))


def vocode(vocoder: SpeechT5HifiGan, mel: Tensor, samples: int | None = None) -> Tensor:
    """log-mel Tensor[B, M, mel_bins] -> waveform Tensor[B, samples], full scale at 1.0.

    The paper's rates and kernels give 32 samples more than M hops hold (163,872 for 1,024 frames); they are
    cut from the end. `samples` defaults to M hops.
    """
    if samples is None:
        samples = mel.shape[1] * math.prod(vocoder.config.upsample_rates)
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
