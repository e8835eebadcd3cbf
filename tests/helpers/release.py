"""A synthetic release of the paper's model, laid out as the authors' script reads it, weights by the rule.

`full=True` is the real size, from the key lists of the goldens' folder; else a small one of the same layout.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from golden import rule_state

SUMMARY = {
    "text_encoder_name": "google/mt5-large",
    "scheduler_name": "stabilityai/stable-diffusion-2-1",
    "unet_model_name": "saved/tta",
    "snr_gamma": 5.0,
}
SMALL_UNET = {
    "sample_size": 128,
    "in_channels": 8,
    "out_channels": 8,
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "cross_attention_dim": 48,
    "attention_head_dim": 8,
}
T5 = {
    "model_type": "mt5",
    "architectures": ["MT5ForConditionalGeneration"],
    "vocab_size": 300,
    "d_kv": 8,
    "d_ff": 32,
    "num_layers": 1,
    "num_heads": 2,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
    "tokenizer_class": "T5Tokenizer",
}


def shapes_of(module: torch.nn.Module, prefix: str = "") -> dict[str, list[int]]:
    return {prefix + key: list(value.shape) for key, value in module.state_dict().items()}


def small_shapes() -> dict[str, list[int]]:
    """Keys and shapes of a small model under the authors' names, CAVP's unused audio half included."""
    from diffusers import UNet2DConditionModel

    from stav2a.condition.attentive_pool import AttentivePooling
    from stav2a.condition.cavp import CAVPVideoEncoder
    from stav2a.condition.onset import LocalFeatures
    from stav2a.denoise.control import TemporalControlNet

    unet = UNet2DConditionModel(**SMALL_UNET)
    video = CAVPVideoEncoder(base_channels=4, stage_blocks=(1, 1, 1, 1), feature_dim=24)
    return {
        **shapes_of(unet, "unet."),
        **shapes_of(TemporalControlNet.from_unet(unet, conditioning_channels=16), "controlnet."),
        **shapes_of(video, "extract_cavp.stage1_model."),
        "extract_cavp.stage1_model.logit_scale": [],
        "extract_cavp.stage1_model.spec_encoder.bn.weight": [8],
        **shapes_of(LocalFeatures(feature_dim=24, hidden_dim=32, local_dim=16)),
        **shapes_of(AttentivePooling(feature_dim=24, token_dim=48), "global_video_feature."),
    }


def text_shapes(width: int, t5: dict | None = None) -> dict[str, list[int]]:
    from transformers import MT5Config, MT5EncoderModel

    with torch.device("meta"):
        shapes = shapes_of(MT5EncoderModel(MT5Config(**{**T5, **(t5 or {})}, d_model=width)), "text_encoder.")
    shapes.pop("text_encoder.encoder.embed_tokens.weight")  # the same table as `shared`
    return shapes


def write_release(
    folder: Path, shapes: dict, width: int, configs: bool = True, text: bool = True, t5: dict | None = None
) -> Path:
    """`saved/STA-V2A/summary.jsonl`, `…/best/pytorch_model_2.bin`, and the U-Net's and scheduler's folders."""
    root = folder / "saved" / "STA-V2A"
    (root / "best").mkdir(parents=True)
    (root / "summary.jsonl").write_text(json.dumps({**SUMMARY, "epoch": 1}) + "\n" + json.dumps({"epoch": 2}) + "\n")
    if text:
        shapes = {**shapes, **text_shapes(width, t5)}
    torch.save(rule_state(shapes), root / "best" / "pytorch_model_2.bin")
    if configs:
        (folder / "tta" / "unet").mkdir(parents=True)
        known = {"_class_name": "UNet2DConditionModel", "attention_head_dim": 8, "upcast_attention": False}
        (folder / "tta" / "unet" / "config.json").write_text(json.dumps(known))
        (folder / "sd" / "scheduler").mkdir(parents=True)
        scheduler = {"_class_name": "DDPMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}
        scheduler |= {"beta_schedule": "scaled_linear", "prediction_type": "v_prediction", "clip_sample": False}
        (folder / "sd" / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    return folder


def write_text_encoder(folder: Path, width: int, t5: dict | None = None) -> Path:
    """A folder as google/mt5-large has it: config.json and spiece.model, no tokenizer.json."""
    import sentencepiece

    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**T5, **(t5 or {}), "d_model": width}))
    words = ["a dog barks at a ball", "rain falls on the roof", "someone hits a drum twice", "glass breaks"]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(words * 20),
        model_prefix=str(folder / "spiece"),
        vocab_size=40,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (folder / "spiece.vocab").unlink()
    return folder


def write_audioldm(folder: Path, size: str) -> Path:
    """`vae/` and `vocoder/` as diffusers and transformers keep them."""
    from golden import fill

    from stav2a.sound.vae import build_vae
    from stav2a.sound.vocoder import build_vocoder

    vae = build_vae(size)
    vae.register_to_config(scaling_factor=0.9227)
    fill(vae, "vae.").save_pretrained(folder / "vae")
    fill(build_vocoder(size), "vocoder.").save_pretrained(folder / "vocoder")
    return folder


def write_audioldm_original(file: Path, shapes: dict) -> Path:
    """AudioLDM's own layout: everything under first_stage_model, with a scale factor and parts not needed."""
    state = {f"first_stage_model.{k}": v for k, v in rule_state(shapes, "first_stage_model.").items()}
    state |= {"scale_factor": torch.tensor(0.9227), "model.diffusion_model.out.0.weight": torch.ones(4)}
    torch.save({"state_dict": state, "epoch": 3}, file)
    return file


def write_cavp(file: Path, shapes: dict, prefix: str = "extract_cavp.stage1_model.") -> Path:
    """Diff-Foley's checkpoint: nested, with `module.` in the names."""
    cavp = {f"module.{k[len(prefix) :]}": v for k, v in shapes.items() if k.startswith(prefix)}
    torch.save({"state_dict": rule_state(cavp), "epoch": 66}, file)
    return file


def write_full(folder: Path, goldens: Path, configs: bool = False, t5: dict | None = None) -> tuple[Path, Path, Path]:
    """-> release, text encoder and AudioLDM's original file at their real sizes, by the goldens' lists of keys.

    The lists leave the text encoder out; it is a small one of the real width, or of the configuration `t5`.
    """
    keys, sound = (
        json.loads((goldens / f"schema_{name}.json").read_text())["keys"] for name in ("width128", "vae_vocoder")
    )
    release = write_release(folder / "release", keys, 1024, configs, t5=t5)
    text = write_text_encoder(folder / "mt5", 1024, t5)
    return release, text, write_audioldm_original(folder / "audioldm-s-full", sound)


MT5_LARGE = {"vocab_size": 250_112, "d_kv": 64, "d_ff": 2816, "num_layers": 24, "num_heads": 16}

if __name__ == "__main__":
    root, goldens = map(
        Path, sys.argv[1:]
    )  # `python tests/helpers/release.py OUT GOLDENS`: everything at its real size
    write_full(root, goldens, t5=MT5_LARGE)
