"""KL divergence and Inception Score of class probabilities, and the published networks that give them.

The arithmetic takes probabilities; `load_tagger` brings the network. None of the hub networks is downloaded
unless its name is asked for, and offline each says so in one sentence (`Unavailable`).

    bank   this project's own, built in (bank_classifier.py)
    aisfx  aiSFX, trained on sound effects, weights inside the package aisfx (effects.py)
    ast    Audio Spectrogram Transformer, transformers, hub
    panns  Cnn14, package panns_inference; the paper's FD, KL and IS use it
    passt  PaSST, package hear21passt
    vggish VGGish, from a folder with its code: embeddings only, for FAD
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from stav2a.sound.onsets import as_mono
from stav2a.weights import reach

EPSILON = 1e-6  # as in the evaluation code that the authors use
AST_REPO = "MIT/ast-finetuned-audioset-10-10-0.4593"


class Unavailable(RuntimeError):
    """A requested network is not available here; the message is for the user."""


@dataclass(frozen=True)
class Tagger:
    """A network: sound at `sample_rate` [S] -> (embeddings [N, D], probabilities [C] or None)."""

    name: str
    sample_rate: int
    describe: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]


def kl_divergence(reference: np.ndarray, generated: np.ndarray) -> float:
    """KL(reference || generated) in nats of two probability vectors [C]."""
    reference, generated = np.asarray(reference, np.float64), np.asarray(generated, np.float64)
    if reference.shape != generated.shape:
        raise ValueError(f"probabilities of {reference.shape} and {generated.shape} do not compare")
    present = reference > 0
    return float((reference[present] * np.log(reference[present] / (generated[present] + EPSILON))).sum())


def inception_score(probabilities: np.ndarray) -> float:
    """exp of the mean KL of each sound's probabilities [n, C] to their mean; between 1 and C.

    One split, unlike the usual ten, which bias the score of small sets down.
    """
    probabilities = np.asarray(probabilities, np.float64)
    if probabilities.ndim != 2 or not len(probabilities):
        raise ValueError(f"probabilities need the shape [n, C], got {probabilities.shape}")
    mean = probabilities.mean(axis=0, keepdims=True)
    ratio = np.log(np.maximum(probabilities, 1e-16)) - np.log(np.maximum(mean, 1e-16))
    return float(np.exp((probabilities * ratio).sum(axis=1).mean()))


def load_tagger(name: str, source: str | None = None) -> Tagger:
    """The network of that name; `source` replaces the hub repository or folder it is read from."""
    if name not in LOADERS:
        raise ValueError(f"the networks are {', '.join(LOADERS)}, not {name!r}")
    return LOADERS[name](source)


def _bank(source: str | None) -> Tagger:
    from stav2a.metrics.bank_classifier import ASSETS, BankClassifier, describe
    from stav2a.timeline import COMPACT

    try:
        model = BankClassifier.load(source or ASSETS)
    except FileNotFoundError as error:
        raise Unavailable(str(error)) from error

    def run(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features = describe(model, waveform)
        return features.embeddings, features.probabilities

    return Tagger("bank", COMPACT.sample_rate, run)


def _aisfx(source: str | None) -> Tagger:
    from stav2a.metrics import effects

    if find_spec("aisfx") is None:
        raise Unavailable("aiSFX needs the package aisfx: pip install --no-deps aisfx")
    return Tagger("aisfx", effects.SAMPLE_RATE, effects.describe)


def _ast(source: str | None) -> Tagger:
    import torch
    from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

    repo = source or AST_REPO
    extractor = from_hub(AutoFeatureExtractor.from_pretrained, repo)
    model = from_hub(AutoModelForAudioClassification.from_pretrained, repo).eval()

    @torch.no_grad()
    def run(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inputs = extractor(as_mono(waveform), sampling_rate=extractor.sampling_rate, return_tensors="pt")
        outputs = model(**inputs, output_hidden_states=True)
        # the two special tokens of the last layer are what AST pools for its classifier
        embedding = outputs.hidden_states[-1][:, :2].mean(dim=1)
        return embedding.numpy(), outputs.logits.softmax(-1)[0].numpy()

    return Tagger("ast", extractor.sampling_rate, run)


def _panns(source: str | None) -> Tagger:
    if find_spec("panns_inference") is None:
        raise Unavailable("PANNs needs the package panns_inference: pip install panns_inference")

    def load(checkpoint: str | None) -> Any:
        from panns_inference import AudioTagging  # downloads its list of classes when it is imported

        return AudioTagging(checkpoint_path=checkpoint, device="cpu")

    kept = Path(source) if source else Path.home() / "panns_data" / "Cnn14_mAP=0.431.pth"  # where the package looks
    model = from_hub(load, source, kept, "https://zenodo.org")

    def run(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores, embedding = model.inference(as_mono(waveform)[None])
        # Cnn14 ends in sigmoids; softmax of its logits is what the authors' evaluation compares
        return embedding, _softmax(_logit(scores[0]))

    return Tagger("panns", 32_000, run)


def _passt(source: str | None) -> Tagger:
    import torch

    try:
        from hear21passt.base import get_basic_model
    except ImportError as error:
        raise Unavailable("PaSST needs the package hear21passt: pip install hear21passt") from error
    kept = Path(torch.hub.get_dir(), "checkpoints", "passt-s-f128-p16-s10-ap.476-swa.pt")
    model = from_hub(lambda _: get_basic_model(mode="all"), source, kept, "https://github.com").eval()

    @torch.no_grad()
    def run(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with redirect_stdout(sys.stderr):  # it prints shapes at its first sound
            outputs = model(torch.from_numpy(as_mono(waveform))[None]).numpy()  # 527 logits, then the embedding
        return outputs[:, 527:], _softmax(outputs[0, :527])

    return Tagger("passt", 32_000, run)


def _vggish(source: str | None) -> Tagger:
    import torch

    # Its package is code on GitHub of no fixed version: it runs from a folder that the person has, or not at all.
    folder = source or os.environ.get("STAV2A_VGGISH", "")
    if not folder or not Path(folder, "hubconf.py").is_file():
        raise Unavailable(
            "VGGish runs code of its own: clone github.com/harritaylor/torchvggish, look at it, and name the folder in "
            "STAV2A_VGGISH"
        )
    if find_spec("resampy") is None:
        raise Unavailable("VGGish needs the package resampy: pip install resampy")
    kept = Path(torch.hub.get_dir(), "checkpoints", "vggish-10086976.pth")
    load = partial(torch.hub.load, model="vggish", source="local")
    model = from_hub(load, folder, kept, "https://github.com").eval()
    model.postprocess = False  # FAD takes the raw embeddings

    @torch.no_grad()
    def run(waveform: np.ndarray) -> tuple[np.ndarray, None]:
        return np.atleast_2d(model.forward(as_mono(waveform), 16_000).cpu().numpy()), None

    return Tagger("vggish", 16_000, run)


LOADERS: dict[str, Callable[[str | None], Tagger]] = {
    "bank": _bank,
    "aisfx": _aisfx,
    "ast": _ast,
    "panns": _panns,
    "passt": _passt,
    "vggish": _vggish,
}


def from_hub(load: Callable, source: str | None, kept: Path | None = None, address: str = "") -> Any:
    """`load(source)`; what a missing network or repository raises becomes one sentence, within seconds.

    kept: where the weights lie after the download, for a network that transformers does not load; address: the
    server that they come from.
    """
    name = source or "this network"
    try:
        with redirect_stdout(sys.stderr):  # some of them print while they load; stdout is for results
            if kept is None:
                return reach.load_from_hub(load, name)
            if not kept.exists() and not reach.reachable(address):
                raise OSError(f"{urlsplit(address).netloc} is out of reach")
            return load(source)
    # what hubs raise when they cannot be reached, and torch where a download was cut off
    except (OSError, ValueError, RuntimeError, EOFError, UnpicklingError) as error:
        raise Unavailable(f"The weights of {name} could not be loaded: offline, or not downloaded yet.") from error


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max())
    return exponents / exponents.sum()


def _logit(probabilities: np.ndarray) -> np.ndarray:
    clipped = np.clip(np.asarray(probabilities, np.float64), 1e-7, 1 - 1e-7)
    return np.log(clipped) - np.log1p(-clipped)
