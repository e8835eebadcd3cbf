"""TiVA's audio layout: a log-mel of low resolution, predicted from the picture (Wang et al. 2024, §3.1 and eq. 1-4).

Axes beside the package's: M layout rows (100 ms each), C layout bands, P patches of a frame, W width.
"""

from __future__ import annotations

from typing import cast

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

ROWS, BANDS = 102, 5  # of a window of 1024 mel frames (§4.1.1)
STEPS = 256  # latent steps of that window
QUIETEST, LOUDEST = -11.6, 3.0  # natural-log mel values that Norm of eq. 1 maps to 0 and 1


def layout_rows(steps: int) -> int:
    """Rows that cover `steps` latent steps: 102 for 256."""
    return max(1, round(steps * ROWS / STEPS))


def layout_of(mel: Tensor, steps: int) -> Tensor:
    """Eq. 1, `Resize(Norm(mel))`: log-mel Tensor[B, M_mel, mel_bins] -> Tensor[B, M, C] in [0, 1]."""
    scaled = ((mel - QUIETEST) / (LOUDEST - QUIETEST)).clamp(0, 1)
    return functional.interpolate(scaled[:, None], (layout_rows(steps), BANDS), mode="area")[:, 0]


def as_channel(layout: Tensor, steps: int, bins: int) -> Tensor:
    """Resized to the latents: Tensor[B, M, C] -> Tensor[B, T, F], around zero as latents are (eq. 7)."""
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
    """

    def __init__(self, width: int, heads: int, frames: int):
        super().__init__()
        self.norm_self, self.norm_cross = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend = nn.MultiheadAttention(width, heads, batch_first=True)
        self.cross = nn.MultiheadAttention(width, heads, batch_first=True)
        self.window = WindowAttention(width, heads, frames, 1)
        self.feed = FeedForward(width)

    def forward(self, x: Tensor, patches: Tensor) -> Tensor:
        queries = self.norm_self(x)
        x = x + self.attend(queries, queries, queries, need_weights=False)[0]
        queries = self.norm_cross(x).flatten(0, 1)[:, None]
        keys = patches.flatten(0, 1)
        x = x + self.cross(queries, keys, keys, need_weights=False)[0].unflatten(0, x.shape[:2])[:, :, 0]
        x = self.window(x)
        return x + self.feed(x)


class LayoutPredictor(ModelMixin, ConfigMixin):
    """Patch and frame features of several levels -> the audio layout in [0, 1]."""

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
    ):
        super().__init__()
        self.embed_patches = nn.Linear(patch_dim, width)
        self.embed_frames = nn.Linear(frame_dim, width)
        self.queries = nn.Parameter(0.02 * torch.randn(rows, width))  # q_i of eq. 4
        self.encoder = nn.ModuleList(EncoderBlock(width, heads, window, patches) for _ in range(encoder_layers))
        self.decoder = nn.ModuleList(DecoderBlock(width, heads, window) for _ in range(decoder_layers))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, BANDS))
        nn.init.constant_(cast(nn.Linear, self.out[1]).bias, 0.3)  # about the mean of layouts

    def forward(self, patches: Tensor, frames: Tensor) -> Tensor:
        """Tensor[B, T, P, patch_dim], Tensor[B, T, frame_dim], a row a latent step -> Tensor[B, M, C].

        Clips of more rows than there are queries are predicted in overlapping stretches, blended evenly.
        """
        rows = layout_rows(frames.shape[1])
        patches, frames = at_rows(patches, rows), at_rows(frames, rows)
        most = self.config.rows
        if rows <= most:
            return self._stretch(patches, frames)
        count = -(-(rows - most) // (most - most // 4)) + 1
        total, weight = frames.new_zeros(len(frames), rows, BANDS), frames.new_zeros(rows, 1)
        for k in range(count):
            part = slice(start := round(k * (rows - most) / (count - 1)), start + most)
            total[:, part] += self._stretch(patches[:, part], frames[:, part])
            weight[part] += 1
        return total / weight

    def _stretch(self, patches: Tensor, frames: Tensor) -> Tensor:
        seen = self.embed_patches(patches)
        shape = seen.shape
        seen = seen.flatten(1, 2)
        for block in self.encoder:
            seen = block(seen)
        x = self.embed_frames(frames) + self.queries[: frames.shape[1]]
        for block in self.decoder:
            x = block(x, seen.view(shape))
        return self.out(x)


def at_rows(features: Tensor, rows: int) -> Tensor:
    """Means over the latent steps of each row: Tensor[B, T, ...] -> Tensor[B, rows, ...]."""
    flat = features.flatten(2).transpose(1, 2)
    return functional.adaptive_avg_pool1d(flat, rows).transpose(1, 2).unflatten(2, features.shape[2:])
