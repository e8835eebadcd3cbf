"""Convert the parts of the paper's model to one folder of safetensors that `from_pretrained` opens offline."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from stav2a import presets

from .errors import WeightsError
from .faithful import FAITHFUL
from .others import load_audioldm, load_text_encoder
from .release import Release, load_cavp
from .sources import PAPER

log = logging.getLogger(__name__)

ORIGIN = (
    "Converted from the authors' release (y-ren16/STAV2A, no licence stated), Diff-Foley's CAVP (MIT), "
    "google/mt5-large (Apache-2.0) and AudioLDM's VAE and HiFi-GAN (CC-BY-NC-SA-4.0): not for commercial use."
)


def open_release(
    pipeline_class: type,
    release: str | Path,
    text_encoder: str | Path,
    audioldm: str | Path,
    cavp: str | Path | None = None,
    *,
    unet: Mapping | None = None,
    scheduler: Mapping | None = None,
    ignore: tuple[str, ...] = (),
    dtype: torch.dtype | None = None,
    sources: Mapping | None = None,
) -> Any:
    """The pipeline of the release, of the class `pipeline_class` (`STAV2APipeline`).

    Sources: folders of it, of the text encoder and of AudioLDM (or its file), CAVP's file.

    `unet` and `scheduler` override what the release's own configuration says or what is assumed in its place;
    `sources` is noted in the model card. What was assumed is logged as a warning and kept in `provenance`.
    """
    found = Release.find(release)
    states = found.states(ignore)
    parts = found.build(states, unet, scheduler, dtype)
    if "video_encoder" not in parts:
        if cavp is None:
            raise WeightsError(
                f"{found.weights} holds no video encoder; run `python -m stav2a weights fetch cavp` or give its file."
            )
        parts["video_encoder"] = load_cavp(cavp, dtype)
    named = str(found.summary.get("text_encoder_name", "mt5-large"))
    if "mt5-large" not in named:
        found.assume(f"summary.jsonl names the text encoder {named}, the one in {text_encoder} is taken")
    tokenizer, encoder = load_text_encoder(text_encoder, states.get("text_encoder"), dtype)
    vae, vocoder = load_audioldm(audioldm, dtype)
    _agree(parts, encoder, vae, vocoder)
    defaults = {**FAITHFUL, **({"prompt_prefix": found.summary["prefix"]} if found.summary.get("prefix") else {})}
    pipeline = pipeline_class(
        **parts,
        tokenizer=tokenizer,
        text_encoder=encoder,
        vae=vae,
        vocoder=vocoder,
        timeline=presets.PAPER.to_dict(),
        defaults=defaults,
        provenance={
            "model": "paper",
            "licence": "cc-by-nc-sa-4.0",
            "licences": licences(states),
            "origin": ORIGIN,
            "sources": dict(sources or {}),
            "assumptions": found.assumptions,
        },
    )
    for sentence in found.assumptions:
        log.warning("Assumed: %s; override it if you know better (docs/weights.md).", sentence)
    return pipeline


def licences(states: Mapping) -> dict[str, str]:
    """Licence of every part, by the source that it was taken from; `states`: what the release itself held."""
    found = {part: source.licence for name in ("audioldm", "mt5", "cavp") for source in [PAPER[name]]
             for part in source.parts}  # fmt: skip
    return found | {part: PAPER["stav2a"].licence for part in PAPER["stav2a"].parts if part in states}


def convert(pipeline_class: type, target: str | Path, *sources: Any, **options: Any) -> Path:
    """`open_release` and write the result to `target`, all at once: a broken attempt leaves nothing behind."""
    target = Path(target)
    if target.exists():
        raise WeightsError(f"{target} is already there; delete it or choose another folder.")
    pipeline = open_release(pipeline_class, *sources, **options)
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        pipeline.save_pretrained(partial)
        partial.rename(target)
    except OSError as error:
        raise WeightsError(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _agree(parts: Mapping[str, Any], encoder: Any, vae: Any, vocoder: Any) -> None:
    """Widths that must meet where parts from different sources join."""
    unet = parts["unet"].config
    meetings = (
        ("text encoder", encoder.config.d_model, "U-Net's cross-attention", unet.cross_attention_dim),
        (
            "global tokens",
            parts["attentive_pool"].config.token_dim,
            "U-Net's cross-attention",
            unet.cross_attention_dim,
        ),
        (
            "video encoder",
            parts["video_encoder"].config.feature_dim,
            "local features",
            parts["local_features"].config.feature_dim,
        ),
        ("VAE's latents", vae.config.latent_channels, "U-Net", unet.in_channels),
        ("vocoder's mel", vocoder.config.model_in_dim, "VAE's", presets.PAPER.mel_bins),
    )
    for one, width, other, wanted in meetings:
        if width != wanted:
            raise WeightsError(f"Parts that do not belong together: {one} has width {width}, {other} {wanted}.")
