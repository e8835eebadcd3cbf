"""Where the paper's weights come from: one row a part.

A checksum, size or revision is given only where it is known; None means that the hub's own metadata is used
when the file is fetched. Nothing here is downloaded by importing it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A repository of the hub and what is taken from it."""

    name: str
    parts: tuple[str, ...]  # the pipeline's components that it gives
    repo: str
    files: tuple[str, ...]  # patterns as of `fnmatch`, in order of preference within one folder
    licence: str
    revision: str | None = None
    size: int | None = None  # bytes of the file, exact
    sha256: str | None = None
    about: str = ""


PAPER = {
    source.name: source
    for source in (
        Source(
            name="stav2a",
            parts=("unet", "controlnet", "local_features", "attentive_pool", "video_encoder", "text_encoder"),
            repo="y-ren16/STAV2A",
            files=(
                "*summary.jsonl",
                "*pytorch_model_2.bin",
                "*/model.safetensors",
                "*unet/config.json",
                "*diffusion_model_config*.json",
                "*scheduler/scheduler_config.json",
            ),
            licence="none stated",
            about="The authors' release: one state dict with every trained part.",
        ),
        Source(
            name="cavp",
            parts=("video_encoder",),
            repo="SimianLuo/Diff-Foley",
            files=("diff_foley_ckpt/cavp_epoch66.ckpt",),
            licence="MIT",
            revision="b17ddbe76e6d42f4b4135eeb443b1c1644267e3e",
            size=1_361_483_035,
            sha256="3472c2217a9481f530a96e32611c9e4611766f10b7f0d185a1ce35be7b7f9c80",
            about="Diff-Foley's video encoder; fetched only if the release does not hold it.",
        ),
        Source(
            name="mt5",
            parts=("tokenizer", "text_encoder"),
            repo="google/mt5-large",
            files=("config.json", "spiece.model", "tokenizer_config.json", "special_tokens_map.json"),
            licence="Apache-2.0",
            about="Tokenizer and configuration of the text encoder named in the paper.",
        ),
        Source(
            name="mt5-weights",
            parts=("text_encoder",),
            repo="google/mt5-large",
            files=("model.safetensors", "pytorch_model.bin"),
            licence="Apache-2.0",
            about="Its weights, about 5 GB; fetched only if the release does not hold them.",
        ),
        Source(
            name="audioldm",
            parts=("vae", "vocoder"),
            repo="cvssp/audioldm-s-full",
            files=(
                "vae/config.json",
                "vae/diffusion_pytorch_model.safetensors",
                "vae/diffusion_pytorch_model.bin",
                "vocoder/config.json",
                "vocoder/model.safetensors",
                "vocoder/pytorch_model.bin",
            ),
            licence="CC-BY-NC-SA-4.0",
            about="AudioLDM's mel VAE and HiFi-GAN as diffusers and transformers keep them, about 0.45 GB.",
        ),
        Source(
            name="audioldm-original",
            parts=("vae", "vocoder"),
            repo="haoheliu/AudioLDM-S-Full",
            files=("audioldm-s-full",),
            licence="CC-BY-NC-SA-4.0",
            about="The same in AudioLDM's original layout, in one file with the rest of AudioLDM.",
        ),
    )
}

REQUIRED = ("stav2a", "mt5", "audioldm")  # what a converted folder needs at least; the rest fills gaps
