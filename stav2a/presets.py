"""Configurations of every part by preset: `paper`, `compact` (built in) and `tiny` (for tests).

`paper-narrow` and `compact-narrow` keep the timeline and every length and channel between parts, with as few weights
as possible. `train --dry-run` and tests use them to run at the real layout.

`paper` is the most likely configuration of the release (docs/faithful.md). A checkpoint's own shapes override it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stav2a.timeline import COMPACT, PAPER, TINY, Timeline

Table = dict[str, dict[str, Any]]  # size: arguments of a part
NAMES = ("paper", "compact", "tiny")
NARROW = ("paper-narrow", "compact-narrow", "tiny")

TIMELINES: dict[str, Timeline] = {"paper": PAPER, "compact": COMPACT, "tiny": TINY}


def timeline_of(model: str, fps: float | None = None, frame_size: int | None = None) -> Timeline:
    """The timeline of a model, with another video frame rate or frame size (pixels) if given."""
    changes: dict[str, Any] = {name: value for name, value in (("fps", fps), ("frame_size", frame_size)) if value}
    if not all(value > 0 for value in changes.values()):
        raise ValueError(f"fps and frame_size must be above 0, not {fps} and {frame_size}.")
    return replace(TIMELINES[model], **changes)


VIDEO_ENCODER: Table = {  # SlowOnly ResNet-50 (Diff-Foley's CAVP); the narrow ones get luma differences too
    "paper": {
        "base_channels": 64,
        "expansion": 4,
        "stage_blocks": (3, 4, 6, 3),
        "stem_temporal_kernel": 1,
        "stem_spatial_kernel": 7,
        "temporal_kernels": (1, 1, 3, 3),
        "frame_differences": False,
        "feature_dim": 512,
    },
    "compact": {
        "base_channels": 24,
        "expansion": 2,
        "stage_blocks": (1, 2, 2, 2),
        "stem_temporal_kernel": 1,
        "stem_spatial_kernel": 5,
        "temporal_kernels": (3, 3, 3, 3),
        "frame_differences": True,
        "temporal_dilations": (1, 2, 4, 8),
        "spatial_peaks": True,
        "feature_dim": 256,
    },
    "tiny": {
        "base_channels": 4,
        "expansion": 2,
        "stage_blocks": (1, 1, 1, 1),
        "stem_temporal_kernel": 3,
        "stem_spatial_kernel": 3,
        "temporal_kernels": (3, 3, 3, 3),
        "frame_differences": True,
        "feature_dim": 16,
    },
}

LOCAL_FEATURES: Table = {  # windows in video frames: 0.25 to 2 s at 4 fps, 0.08 to 1 s at 25 fps
    "paper": {
        "feature_dim": 512,
        "hidden_dim": 256,
        "local_dim": 128,
        "windows": (1, 2, 4, 8),
        "steps_per_frame": PAPER.latent_rate / PAPER.fps,
        "tail_steps": PAPER.latent_frames - PAPER.local_frames,
    },
    "compact": {
        "feature_dim": 256,
        "hidden_dim": 256,
        "local_dim": 128,
        "windows": (2, 5, 12, 25),
        "steps_per_frame": COMPACT.latent_rate / COMPACT.fps,
        "tail_steps": COMPACT.latent_frames - COMPACT.local_frames,
    },
    "tiny": {
        "feature_dim": 16,
        "hidden_dim": 16,
        "local_dim": 16,
        "windows": (2, 5, 12, 25),
        "steps_per_frame": TINY.latent_rate / TINY.fps,
        "tail_steps": TINY.latent_frames - TINY.local_frames,
    },
}

ATTENTIVE_POOL: Table = {
    "paper": {"feature_dim": 512, "token_dim": 1024, "tokens": 4, "dropout": 0.5},
    "compact": {"feature_dim": 256, "token_dim": 384, "tokens": 4, "dropout": 0.1},
    "tiny": {"feature_dim": 16, "token_dim": 32, "tokens": 4, "dropout": 0.1},
}

ONSET_CHANNELS: dict[str, int] = {
    "paper": 0,
    "compact": 1,
    "tiny": 1,
}  # the onset curve

_DOWN, _CROSS_DOWN = "DownBlock2D", "CrossAttnDownBlock2D"
_UP, _CROSS_UP = "UpBlock2D", "CrossAttnUpBlock2D"

UNET: Table = {  # `attention_head_dim` is the NUMBER of heads in diffusers' U-Net configs
    "paper": {
        "sample_size": 128,
        "in_channels": 8,
        "out_channels": 8,
        "block_out_channels": (128, 256, 384, 640),
        "layers_per_block": 2,
        "down_block_types": (_DOWN, _CROSS_DOWN, _CROSS_DOWN, _CROSS_DOWN),
        "up_block_types": (_CROSS_UP, _CROSS_UP, _CROSS_UP, _UP),
        "cross_attention_dim": 1024,
        "attention_head_dim": 8,
    },
    "compact": {
        "sample_size": 128,
        "in_channels": 8,
        "out_channels": 8,
        "block_out_channels": (48, 96, 160, 224),
        "layers_per_block": 1,
        "norm_num_groups": 16,
        "down_block_types": (_DOWN, _DOWN, _CROSS_DOWN, _CROSS_DOWN),
        "up_block_types": (_CROSS_UP, _CROSS_UP, _UP, _UP),
        "cross_attention_dim": 384,
        "attention_head_dim": 8,
        "use_linear_projection": True,
        "class_embed_type": "projection",  # the caption's mean joins the time step: few weights learn it soon
        "projection_class_embeddings_input_dim": 384,
    },
    "tiny": {
        "sample_size": 128,
        "in_channels": 8,
        "out_channels": 8,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": (_DOWN, _CROSS_DOWN),
        "up_block_types": (_CROSS_UP, _UP),
        "cross_attention_dim": 32,
        "attention_head_dim": 2,
        "norm_num_groups": 8,
        "use_linear_projection": True,
        "class_embed_type": "projection",
        "projection_class_embeddings_input_dim": 32,
    },
}

VAE: Table = {  # paper: AudioLDM's (channels 128, multipliers 1-2-4, one attention in the middle)
    "paper": {
        "block_out_channels": (128, 256, 512),
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "mid_block_add_attention": True,
    },
    "compact": {
        "block_out_channels": (16, 32, 64),
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "mid_block_add_attention": False,
    },
    "tiny": {
        "block_out_channels": (8, 8, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "mid_block_add_attention": False,
    },
}

VOCODER: Table = {  # the product of the rates is the hop of the mel-spectrogram, 160 samples
    "paper": {
        "upsample_initial_channel": 1024,
        "upsample_rates": [5, 4, 2, 2, 2],
        "upsample_kernel_sizes": [16, 16, 8, 4, 4],
        "resblock_kernel_sizes": [3, 7, 11],
        "resblock_dilation_sizes": [[1, 3, 5]] * 3,
    },
    "compact": {
        "noise_channels": 16,  # beside the mel bands
        "upsample_initial_channel": 192,
        "upsample_rates": [5, 4, 4, 2],
        "upsample_kernel_sizes": [15, 8, 8, 4],
        "resblock_kernel_sizes": [3, 7],
        "resblock_dilation_sizes": [[1, 3]] * 2,
    },
    "tiny": {
        "upsample_initial_channel": 32,
        "upsample_rates": [10, 16],
        "upsample_kernel_sizes": [20, 32],
        "resblock_kernel_sizes": [3],
        "resblock_dilation_sizes": [[1, 3]],
    },
}

_STABLE_DIFFUSION = {  # the public stable-diffusion-2-1 scheduler: betas, spacing and the velocity as target
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "steps_offset": 1,
    "prediction_type": "v_prediction",
}

# These betas leave 7 % of the signal at the last step: enough to give away how loud a clip is, which pure noise
# cannot do when sampling. Ours end in pure noise (Lin et al. 2023, "Common diffusion noise schedules are flawed").
_ENDS_IN_NOISE = {**_STABLE_DIFFUSION, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}

SCHEDULER: Table = {"paper": _STABLE_DIFFUSION, "compact": _ENDS_IN_NOISE, "tiny": _ENDS_IN_NOISE}


_THIN: tuple[tuple[Table, dict[str, Any]], ...] = (  # what makes a size narrow; widths where parts meet stay
    (VIDEO_ENCODER, {"base_channels": 2, "expansion": 2, "stage_blocks": (1, 1, 1, 1)}),
    (
        UNET,
        {"block_out_channels": (8, 8, 16, 16), "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": 1},
    ),
    (VAE, {"block_out_channels": (4, 4, 8), "layers_per_block": 1, "norm_num_groups": 4}),
    (
        VOCODER,
        {"upsample_initial_channel": 32, "resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 3]]},
    ),
)


def narrow(model: str) -> str:
    """The narrow preset of a preset; `tiny` is its own."""
    return model if model in NARROW else f"{model}-narrow"


for _model in ("paper", "compact"):
    TIMELINES[narrow(_model)] = TIMELINES[_model]
    ONSET_CHANNELS[narrow(_model)] = ONSET_CHANNELS[_model]
    for _table in (VIDEO_ENCODER, LOCAL_FEATURES, ATTENTIVE_POOL, UNET, VAE, VOCODER, SCHEDULER):
        _table[narrow(_model)] = _table[_model]
    for _table, _sizes in _THIN:
        _table[narrow(_model)] = {**_table[_model], **_sizes}
