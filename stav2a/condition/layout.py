"""TiVA's audio layout: a low-resolution log-mel, predicted from the video (Wang et al. 2024, §3.1 and eq. 1-4).

Axes in addition to the package's: M layout rows (100 ms each), C layout bands, P patches of a frame, W width.
"""

from __future__ import annotations

from typing import cast

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

from .layout_kinds import BANDS, ROWS, LayoutKind

ATTENTIONS = ("both", "global", "windowed")  # self-attention of the decoder (Table 4): SA + WA, SA, WA


def as_channel(layout: Tensor, steps: int, bins: int) -> Tensor:
    """Resized to the latents: Tensor[B, M, C] -> Tensor[B, T, F], centred on zero like the latents (eq. 7)."""
    resized = functional.interpolate(layout[:, None], (steps, bins), mode="bilinear", align_corners=False)[:, 0]
    return 4 * resized - 2


class WindowAttention(nn.Module):
    """Self-attention among `frames` neighbours; each frame holds `tokens` tokens. Tensor[B, M * tokens, W]."""

    def __init__(self, width: int, heads: int, frames: int, tokens: int):
        super().__init__()
        self.size = frames * tokens
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        size = min(self.size, x.shape[1])
        missing = -x.shape[1] % size
        padded = functional.pad(self.norm(x), (0, 0, 0, missing)).unflatten(1, (-1, size))
        hidden = torch.zeros(padded.shape[1:3], dtype=torch.bool, device=x.device)
        hidden[-1, size - missing :] = True  # mask the padding after the last frame
        hidden = hidden.repeat(len(x), 1)
        windows = padded.flatten(0, 1)
        out = self.attention(windows, windows, windows, key_padding_mask=hidden, need_weights=False)[0]
        return x + out.unflatten(0, (len(x), -1)).flatten(1, 2)[:, : x.shape[1]]


class FeedForward(nn.Sequential):
    def __init__(self, width: int):
        super().__init__(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))


class EncoderBlock(nn.Module):
    """Window-Encoder of eq. 3, one layer: Tensor[B, M * P, W] -> the same."""

    def __init__(self, width: int, heads: int, frames: int, patches: int):
        super().__init__()
        self.window = WindowAttention(width, heads, frames, patches)
        self.feed = FeedForward(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.window(x)
        return x + self.feed(x)


class DecoderBlock(nn.Module):
    """Window-Cross-Decoder of eq. 4, one block: self-attention over the clip, cross-attention to the patches of
    each query's own frame, windowed self-attention. Tensor[B, M, W], patches Tensor[B, M, P, W] -> Tensor[B, M, W].

    attention: which self-attentions are used (`ATTENTIONS`); patches: whether cross-attention is used.
    """

    def __init__(self, width: int, heads: int, frames: int, attention: str = "both", patches: bool = True):
        super().__init__()
        over_clip, windowed = attention != "windowed", attention != "global"
        self.norm_self = nn.LayerNorm(width) if over_clip else None
        self.norm_cross = nn.LayerNorm(width) if patches else None
        self.attend = nn.MultiheadAttention(width, heads, batch_first=True) if over_clip else None
        self.cross = nn.MultiheadAttention(width, heads, batch_first=True) if patches else None
        self.window = WindowAttention(width, heads, frames, 1) if windowed else None
        self.feed = FeedForward(width)

    def forward(self, x: Tensor, patches: Tensor | None) -> Tensor:
        if self.attend is not None and self.norm_self is not None:
            queries = self.norm_self(x)
            x = x + self.attend(queries, queries, queries, need_weights=False)[0]
        if self.cross is not None and self.norm_cross is not None and patches is not None:
            queries = self.norm_cross(x).flatten(0, 1)[:, None]
            keys = patches.flatten(0, 1)
            x = x + self.cross(queries, keys, keys, need_weights=False)[0].unflatten(0, x.shape[:2])[:, :, 0]
        if self.window is not None:
            x = self.window(x)
        return x + self.feed(x)


class LayoutPredictor(ModelMixin, ConfigMixin):
    """Patch and frame features of several levels -> the audio layout in [0, 1].

    rows: number of queries, the most rows predicted at once; window_rows: layout rows for 256 latent frames; bands: C;
    attention, cross: the variants of TiVA's Table 4 (`DecoderBlock`); without `cross` the patches are ignored.
    """

    @register_to_config
    def __init__(
        self,
        patch_dim: int = 448,
        frame_dim: int = 256,
        patches: int = 4,
        width: int = 128,
        heads: int = 4,
        encoder_layers: int = 2,
        decoder_layers: int = 2,
        window: int = 5,
        rows: int = ROWS,
        window_rows: int = ROWS,
        bands: int = BANDS,
        attention: str = "both",
        cross: bool = True,
    ):
        super().__init__()
        if attention not in ATTENTIONS:
            raise ValueError(f"attention is {attention!r}; it must be one of {', '.join(ATTENTIONS)}.")
        self.embed_patches = nn.Linear(patch_dim, width) if cross else None
        self.embed_frames = nn.Linear(frame_dim, width)
        self.queries = nn.Parameter(0.02 * torch.randn(rows, width))  # q_i of eq. 4
        encoders = encoder_layers if cross else 0
        self.encoder = nn.ModuleList(EncoderBlock(width, heads, window, patches) for _ in range(encoders))
        self.decoder = nn.ModuleList(
            DecoderBlock(width, heads, window, attention, cross) for _ in range(decoder_layers)
        )
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, bands))
        nn.init.constant_(cast(nn.Linear, self.out[1]).bias, 0.3)  # about the mean of layouts

    def forward(self, patches: Tensor, frames: Tensor) -> Tensor:
        """Tensor[B, T, P, patch_dim], Tensor[B, T, frame_dim], one row per latent frame -> Tensor[B, M, C].

        Clips with more rows than queries are predicted in overlapping segments and averaged where these overlap.
        """
        rows = LayoutKind(rows=self.config.window_rows).rows_of(frames.shape[1])
        patches, frames = at_rows(patches, rows), at_rows(frames, rows)
        most = self.config.rows
        if rows <= most:
            return self._stretch(patches, frames)
        count = -(-(rows - most) // (most - most // 4)) + 1
        total, weight = frames.new_zeros(len(frames), rows, self.config.bands), frames.new_zeros(rows, 1)
        for k in range(count):
            part = slice(start := round(k * (rows - most) / (count - 1)), start + most)
            total[:, part] += self._stretch(patches[:, part], frames[:, part])
            weight[part] += 1
        return total / weight

    def _stretch(self, patches: Tensor, frames: Tensor) -> Tensor:
        seen = None
        if self.embed_patches is not None:
            seen = self.embed_patches(patches)
            shape = seen.shape
            seen = seen.flatten(1, 2)
            for block in self.encoder:
                seen = block(seen)
            seen = seen.view(shape)
        x = self.embed_frames(frames) + self.queries[: frames.shape[1]]
        for block in self.decoder:
            x = block(x, seen)
        return self.out(x)


def at_rows(features: Tensor, rows: int) -> Tensor:
    """Means over the latent frames of each row: Tensor[B, T, ...] -> Tensor[B, rows, ...]."""
    flat = features.flatten(2).transpose(1, 2)
    return functional.adaptive_avg_pool1d(flat, rows).transpose(1, 2).unflatten(2, features.shape[2:])
