"""CLAP score (does the sound fit the caption?) and PAM (does it sound clean?), from pretrained CLAP networks.

Both download their weights when they are first asked for; `Unavailable` says so in one sentence offline.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import constants, try_to_load_from_cache

from stav2a.metrics.classifier import Unavailable, from_hub
from stav2a.metrics.onsets import as_mono

CLAP_REPO = "laion/clap-htsat-unfused"
PAM_PROMPTS = ("the sound is clear and clean.", "the sound is noisy and with artifacts.")
PAM_RATE = 44_100
PAM_SEGMENT_S = 7.0  # length that MS-CLAP was trained on


class ClapScore:
    """Cosine similarity of a sound and a caption under LAION's CLAP, in [-1, 1]."""

    sample_rate = 48_000

    def __init__(self, source: str = CLAP_REPO):
        from transformers import ClapModel, ClapProcessor

        self.processor = from_hub(ClapProcessor.from_pretrained, source)
        self.model = from_hub(ClapModel.from_pretrained, source).eval()

    @torch.no_grad()
    def __call__(self, waveform: np.ndarray, caption: str) -> float:
        """waveform: float [S] at 48 kHz."""
        extractor, tokenizer = self.processor.feature_extractor, self.processor.tokenizer
        heard = as_mono(waveform)[: extractor.nb_max_samples]  # of more it would take a random part
        sound = extractor(heard, sampling_rate=self.sample_rate, return_tensors="pt")
        text = tokenizer([caption], return_tensors="pt", truncation=True)
        a = _embedding(self.model.get_audio_features(**sound))
        b = _embedding(self.model.get_text_features(**text))
        return float(torch.nn.functional.cosine_similarity(a, b)[0])


class Pam:
    """Share in [0, 1] that MS-CLAP gives to "clear and clean" against "noisy and with artifacts"."""

    sample_rate = PAM_RATE

    def __init__(self) -> None:
        try:
            from msclap import CLAP
        except ImportError as error:
            raise Unavailable("PAM needs the package msclap: pip install msclap") from error
        repo = "microsoft/msclap"
        kept = try_to_load_from_cache(repo, "CLAP_weights_2023.pth")
        self.clap = from_hub(
            lambda _: CLAP(version="2023", use_cuda=False),
            repo,
            Path(kept) if isinstance(kept, str) else Path(repo),
            constants.ENDPOINT,
        )
        self.prompts = self.clap.get_text_embeddings(list(PAM_PROMPTS))

    @torch.no_grad()
    def __call__(self, waveform: np.ndarray) -> float:
        """waveform: float [S] at 44.1 kHz; mean over segments of 7 s, the last one repeated to full length."""
        shares = []
        for segment in segments(as_mono(waveform), round(PAM_SEGMENT_S * self.sample_rate)):
            sound = self.clap.clap.audio_encoder(torch.from_numpy(segment)[None])[0]
            shares.append(pam_share(self.clap.compute_similarity(sound, self.prompts)[0].numpy()))
        return float(np.mean(shares))


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


def _embedding(features: Any) -> torch.Tensor:
    """transformers returns a tensor before version 5 and an output object since."""
    return features if isinstance(features, torch.Tensor) else features.pooler_output
