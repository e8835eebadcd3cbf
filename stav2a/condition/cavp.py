"""Video encoder: CAVP's SlowOnly ResNet (Diff-Foley), frames -> one feature per frame (e_v of §II-B).

Module names follow the released checkpoint (mmcv's ConvModule), so that it loads without renaming.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

LUMA = (0.299, 0.587, 0.114)


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm and optional ReLU."""

    def __init__(self, n_in: int, n_out: int, kernel: tuple, stride: tuple = (1, 1, 1), activate: bool = True):
        super().__init__()
        padding = tuple(k // 2 for k in kernel)
        self.conv = nn.Conv3d(n_in, n_out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm3d(n_out)
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.convolve(x))
        return functional.relu(x, inplace=True) if self.activate else x

    def convolve(self, x: Tensor) -> Tensor:
        """The convolution. One over time alone runs in 2-D, and without gradients so does one over space alone: on CPU
        in less than half of the time.

        The weight then gets its channels innermost, like `x`: otherwise the output loses that layout, and every layer
        after it copies its input. With gradients it does not: oneDNN's backward pass of narrow layers of that layout
        writes out of its bounds (torch 2.11).
        """
        k_t, k_h, k_w = self.conv.kernel_size
        learning = torch.is_grad_enabled() and (x.requires_grad or self.conv.weight.requires_grad)
        layout = torch.contiguous_format if learning else torch.channels_last
        if k_t == 1 and not learning:  # frame by frame
            weight = self.conv.weight[:, :, 0].contiguous(memory_format=layout)
            frames = x.transpose(1, 2).flatten(0, 1)
            out = functional.conv2d(frames, weight, None, self.conv.stride[1:], (k_h // 2, k_w // 2))
            return out.unflatten(0, (len(x), -1)).transpose(1, 2)
        if (k_h, k_w) != (1, 1) or self.conv.stride != (1, 1, 1):
            return self.conv(x)
        weight = self.conv.weight[..., 0].contiguous(memory_format=layout)  # over [T_v, H * W]
        return functional.conv2d(x.flatten(3), weight, padding=(k_t // 2, 0)).unflatten(3, x.shape[3:])


class Bottleneck(nn.Module):
    """ResNet bottleneck; the first convolution is the temporal one, the second has the spatial stride."""

    def __init__(self, n_in: int, width: int, n_out: int, stride: int, temporal_kernel: int):
        super().__init__()
        self.conv1 = ConvNorm(n_in, width, (temporal_kernel, 1, 1))
        self.conv2 = ConvNorm(width, width, (1, 3, 3), (1, stride, stride))
        self.conv3 = ConvNorm(width, n_out, (1, 1, 1), activate=False)
        self.downsample = None
        if stride != 1 or n_in != n_out:
            self.downsample = ConvNorm(n_in, n_out, (1, 1, 1), (1, stride, stride), activate=False)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return functional.relu(self.conv3(self.conv2(self.conv1(x))) + shortcut, inplace=True)


class SlowOnly(nn.Module):
    """Tensor[B, C, T_v, H, W] -> Tensor[B, D, T_v], the spatial mean of the last level.

    No stride and no pooling in time. With `peaks`, also the spatial maximum of every channel of every level,
    Tensor[B, sum of the levels' channels, T_v].
    """

    def __init__(
        self,
        n_in: int,
        base: int,
        expansion: int,
        blocks: Sequence[int],
        stem_kernel: tuple[int, int, int],
        temporal_kernels: Sequence[int],
    ):
        super().__init__()
        self.conv1 = ConvNorm(n_in, base, stem_kernel, (1, 2, 2))
        channels = base
        for level, (count, temporal) in enumerate(zip(blocks, temporal_kernels, strict=True)):
            width = base * 2**level
            stage = []
            for block in range(count):
                stride = 2 if block == 0 and level > 0 else 1
                stage.append(Bottleneck(channels, width, width * expansion, stride, temporal))
                channels = width * expansion
            setattr(self, f"layer{level + 1}", nn.Sequential(*stage))
        self.channels = channels
        self.levels = len(blocks)

    def forward(self, x: Tensor, peaks: bool = False) -> tuple[Tensor, Tensor | None]:
        x = max_pooled(self.conv1(x), 3, 2, 1)
        strongest = []
        for level in range(self.levels):
            x = getattr(self, f"layer{level + 1}")(x)
            if peaks:
                strongest.append(max_pooled(x, x.shape[3:], x.shape[3:]).flatten(2))
        return x.mean((3, 4)), torch.cat(strongest, 1) if peaks else None


def max_pooled(x: Tensor, kernel: int | torch.Size, stride: int | torch.Size, padding: int = 0) -> Tensor:
    """Max pooling over space, Tensor[B, C, T_v, H, W] -> [B, C, T_v, H', W'].

    Runs in 2-D, frame by frame: on CPU the backward pass of 3-D max pooling takes twice the time.
    """
    frames = functional.max_pool2d(x.transpose(1, 2).flatten(0, 1), kernel, stride, padding)
    return frames.unflatten(0, (len(x), -1)).transpose(1, 2)


class SpatialPeaks(nn.Module):
    """Spatial maxima of all levels -> Tensor[B, D, T_v], added to the mean.

    CAVP's spatial mean dilutes what happens in a small part of the picture. The projection is initialised to zero, so
    adding it to a trained encoder changes nothing at first.
    """

    def __init__(self, n_in: int, channels: int):
        super().__init__()
        self.bn = nn.BatchNorm1d(n_in)
        self.project = nn.Conv1d(n_in, channels, 1, bias=False)
        nn.init.zeros_(self.project.weight)

    def forward(self, strongest: Tensor) -> Tensor:
        return self.project(self.bn(strongest))


class TemporalBlock(nn.Module):
    """Dilated convolution over time with a shortcut, Tensor[B, D, T_v] -> the same shape (TCN, Bai et al. 2018).

    The last convolution is initialised to zero, so adding a block to a trained encoder changes nothing at first.
    """

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        width = channels // 2
        self.conv1 = nn.Conv1d(channels, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn = nn.BatchNorm1d(width)
        self.conv2 = nn.Conv1d(width, channels, 1)
        nn.init.zeros_(self.conv2.weight)
        assert self.conv2.bias is not None
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(functional.relu(self.bn(self.conv1(x)), inplace=True))

    @torch.no_grad()
    def fold(self, largest: float = 2.0**14) -> None:
        """The same function with variances of at most `largest`: channels above are scaled down by a power of two.

        Features of long clips can have variances above 65,504, the largest fp16 value. fp16 would store them as
        infinite, and the channel would output nothing.
        """
        assert self.bn.running_mean is not None and self.bn.running_var is not None
        scale = torch.exp2((self.bn.running_var / largest).log2().div(2).ceil().clamp(min=0))
        self.conv1.weight /= scale[:, None, None]
        self.bn.running_mean /= scale
        self.bn.running_var /= scale.square()


class CAVPVideoEncoder(ModelMixin, ConfigMixin):
    """Frames -> `cavp_features`, unit norm per frame.

    `frame_differences` appends two channels, the luma differences to the previous and the next frame: at 25 fps an
    impact is a change of motion, which the narrow compact encoder then need not find from colour alone.
    `temporal_dilations` adds one `TemporalBlock` per entry after spatial pooling: at little cost they see rhythms, and
    more time before and after an impact than the other convolutions. `spatial_peaks` adds `SpatialPeaks` to the
    spatial mean. The paper's encoder (4 fps) has none of these. Features depend on neighbouring frames wherever a
    temporal kernel is wider than one, so a clip is encoded in one piece.
    """

    @register_to_config
    def __init__(
        self,
        base_channels: int = 64,
        expansion: int = 4,
        stage_blocks: tuple[int, ...] = (3, 4, 6, 3),
        stem_temporal_kernel: int = 1,
        stem_spatial_kernel: int = 7,
        temporal_kernels: tuple[int, ...] = (1, 1, 3, 3),
        feature_dim: int = 512,
        frame_differences: bool = False,
        temporal_dilations: tuple[int, ...] = (),
        spatial_peaks: bool = False,
    ):
        super().__init__()
        self.video_encoder = SlowOnly(
            n_in=5 if frame_differences else 3,
            base=base_channels,
            expansion=expansion,
            blocks=stage_blocks,
            stem_kernel=(stem_temporal_kernel, stem_spatial_kernel, stem_spatial_kernel),
            temporal_kernels=temporal_kernels,
        )
        channels = self.video_encoder.channels
        of_all_levels = base_channels * expansion * (2 ** len(stage_blocks) - 1)
        self.peaks = SpatialPeaks(of_all_levels, channels) if spatial_peaks else None
        self.temporal = nn.Sequential(*(TemporalBlock(channels, dilation) for dilation in temporal_dilations))
        self.video_project_head = nn.Linear(channels, feature_dim)

    def forward(self, frames: Tensor, normalize: bool = True) -> Tensor:
        """frames: Tensor[B, 3, T_v, H, W], RGB in [0, 1] -> `cavp_features` Tensor[B, T_v, feature_dim].

        `normalize=False` skips the unit norm, for losses and for comparison with the authors' numbers.
        """
        assert frames.ndim == 5 and frames.shape[1] == 3, f"{frames.shape=}"
        if self.config.frame_differences:
            frames = with_differences(frames)
        frames = frames.contiguous(memory_format=torch.channels_last_3d)  # on CPU takes a third to half of the time
        pooled, strongest = self.video_encoder(frames, peaks=self.peaks is not None)
        if self.peaks is not None:
            pooled = pooled + self.peaks(strongest)
        features = self.video_project_head(self.temporal(pooled).transpose(1, 2))
        return functional.normalize(features, dim=-1) if normalize else features


def with_differences(frames: Tensor) -> Tensor:
    """Append luma[t] - luma[t-1] and luma[t+1] - luma[t], zero at the ends: Tensor[B, 5, T_v, H, W]."""
    weights = torch.tensor(LUMA, device=frames.device, dtype=frames.dtype).view(1, 3, 1, 1, 1)
    change = (frames * weights).sum(1, keepdim=True).diff(dim=2)
    none = torch.zeros_like(frames[:, :1, :1])
    return torch.cat([frames, torch.cat([none, change], 2), torch.cat([change, none], 2)], 1)
