"""CLAP score (does the sound fit the caption?) and PAM's question (does it sound clean?), by LAION's CLAP.

It is downloaded when it is first asked for; `Unavailable` says so in one sentence offline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stav2a.metrics.classifier import from_hub
from stav2a.sound.onsets import as_mono

CLAP_REPO = "laion/clap-htsat-unfused"
PAM_PROMPTS = ("the sound is clear and clean.", "the sound is noisy and with artifacts.")


class ClapScore:
    """Cosine similarity of a sound and a caption, in [-1, 1].

    source: repository of the hub or folder, in transformers' form.
    """

    sample_rate = 48_000

    def __init__(self, source: str = ""):
        from transformers import ClapModel, ClapProcessor

        source = source or CLAP_REPO
        self.processor = from_hub(ClapProcessor.from_pretrained, source)
        self.model = from_hub(ClapModel.from_pretrained, source).eval()

    def __call__(self, waveform: np.ndarray, caption: str) -> float:
        """waveform: float [S] at 48 kHz, of which the first 10 s are heard."""
        return float(self.audio_embedding(as_mono(waveform)[: self.most_samples]) @ self.read([caption])[0])

    @property
    def most_samples(self) -> int:
        """That the network takes at once; of more its extractor would take a random part."""
        return self.processor.feature_extractor.nb_max_samples

    @torch.no_grad()
    def audio_embedding(self, waveform: np.ndarray) -> Tensor:
        """The unit embedding of a sound, Tensor[D]."""
        sound = self.processor.feature_extractor(waveform, sampling_rate=self.sample_rate, return_tensors="pt")
        return functional.normalize(_embedding(self.model.get_audio_features(**sound)), dim=-1)[0]

    @torch.no_grad()
    def read(self, captions: Sequence[str]) -> Tensor:
        """The unit embeddings of captions, Tensor[N, D]."""
        text = self.processor.tokenizer(list(captions), return_tensors="pt", padding=True, truncation=True)
        return functional.normalize(_embedding(self.model.get_text_features(**text)), dim=-1)


class Pam:
    """Share in [0, 1] that CLAP gives to "clear and clean" against "noisy and with artifacts" (Deshmukh et al. 2024).

    The published PAM asks MS-CLAP, whose package supports neither numpy 2 nor transformers 5. This asks LAION's CLAP:
    its numbers are not those of papers.
    """

    sample_rate = ClapScore.sample_rate

    def __init__(self, clap: ClapScore) -> None:
        self.clap, self.prompts = clap, clap.read(PAM_PROMPTS)
        self.scale = float(clap.model.logit_scale_a.detach().exp())

    def __call__(self, waveform: np.ndarray) -> float:
        """waveform: float [S] at 48 kHz; mean over segments of 10 s, the last one repeated to full length."""
        parts = segments(as_mono(waveform), self.clap.most_samples)
        return float(
            np.mean(
                [pam_share((self.scale * self.prompts @ self.clap.audio_embedding(part)).numpy()) for part in parts]
            )
        )


def segments(waveform: np.ndarray, size: int) -> list[np.ndarray]:
    """Pieces of `size` samples; the last one is the rest, repeated until it fills."""
    if not waveform.size:
        raise ValueError("a sound without samples has no segments")
    parts = [waveform[start : start + size] for start in range(0, len(waveform), size)]
    return [np.resize(part, size).astype(np.float32) for part in parts]


def pam_share(similarities: np.ndarray) -> float:
    """Softmax share of the first of two scaled similarities."""
    good, bad = np.asarray(similarities, np.float64)
    return float(1.0 / (1.0 + np.exp(bad - good)))


def _embedding(features: Any) -> Tensor:
    """transformers returns a tensor before version 5 and an output object since."""
    return features if isinstance(features, Tensor) else features.pooler_output
