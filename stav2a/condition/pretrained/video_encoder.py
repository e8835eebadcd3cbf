"""Pretrained vision encoders as video encoders: VTA-LDM's Table 2, TiVA's CLIP.

Network, size, normalisation and layers are configuration. The weights are in the checkpoint beside it, so that it
loads offline. `stav2a.weights.vision` downloads them by name.
"""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

from .trunks import States, build_trunk

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
AT_ONCE = 32  # segments per call of the network without gradients


class HubVideoEncoder(ModelMixin, ConfigMixin):
    """Frames -> one feature per frame (`cavp_features` of the pipeline), unit norm.

    architecture: the network's configuration as a dict with its `model_type` (`trunks.TRUNKS`)
    source: where the weights are from, for the model card
    layers: the feature is the concatenation of these layers' CLS tokens; empty: the network's own pooled output
    levels: layers whose CLS and patch tokens TiVA's layout predictor reads (§3.2.1)
    mean, std: normalisation of the pixels, one value per channel
    project_dim: width of a final linear projection; None: no projection
    feature_dim: the width of the feature, computed

    Networks that see several frames at once (X-CLIP, ViViT, V-JEPA 2) read a clip in segments of as many frames as they
    were trained with; the last segment is padded with the last frame.
    """

    _keep_in_fp32_modules = ["in_fp32"]  # of `ConvolutionTrunk`, as diffusers opens it

    @register_to_config
    def __init__(
        self,
        architecture: dict,
        source: str = "",
        layers: tuple[int, ...] = (),
        levels: tuple[int, ...] = (),
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        project_dim: int | None = None,
        feature_dim: int | None = None,
    ):
        super().__init__()
        trunk = self.trunk = build_trunk(architecture)
        for layer in (*layers, *levels):
            if not trunk.layers:
                raise ValueError(f"{source or 'The network'} has its pooled output alone; leave out layers and levels.")
            if not 0 <= layer <= trunk.layers:
                raise ValueError(f"Layer {layer} was asked for; {source or 'the network'} has {trunk.layers}.")
        width = len(layers) * trunk.width if layers else trunk.pooled_width
        self.project = nn.Linear(width, project_dim) if project_dim else None
        self.register_to_config(feature_dim=project_dim or width)

    @property
    def level_dim(self) -> int:
        """Total number of channels of all `levels`."""
        return len(self.config.levels) * self.trunk.width

    def forward(
        self, frames: Tensor, normalize: bool = True, maps: bool = False
    ) -> Tensor | tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """frames: Tensor[B, 3, T_v, H, W], RGB in [0, 1] -> Tensor[B, T_v, feature_dim].

        `normalize=False` skips the unit norm. `maps=True`, for one clip (B = 1), also returns the features of each of
        `levels`: of whole frames Tensor[T_v, D] and of patches Tensor[T_v, D, h, w].
        """
        layers, levels = tuple(self.config.layers), tuple(self.config.levels)
        if maps and not levels:
            raise ValueError("This vision encoder has no levels: give options.encoder_levels, such as [4, 8, 11].")
        pooled, states = self.states(frames, layers + levels if maps else layers)
        features = torch.cat([state[:, :, 0] for state in states[: len(layers)]], -1) if layers else pooled
        if self.project is not None:
            features = self.project(features)
        features = functional.normalize(features, dim=-1) if normalize else features
        return (features, [self.level_map(state[0]) for state in states[len(layers) :]]) if maps else features

    @staticmethod
    def level_map(state: Tensor) -> tuple[Tensor, Tensor]:
        """Tensor[T_v, 1 + h * w, D] -> Tensor[T_v, D] of whole frames, Tensor[T_v, D, h, w] of patches."""
        side = round((state.shape[1] - 1) ** 0.5)
        return state[:, 0], state[:, 1:].transpose(1, 2).unflatten(2, (side, side))

    def states(self, frames: Tensor, layers: tuple[int, ...]) -> States:
        """Tensor[B, 3, T_v, H, W] -> pooled Tensor[B, T_v, E] and states Tensor[B, T_v, 1 + P, D] of each layer."""
        assert frames.ndim == 5 and frames.shape[1] == 3, f"{frames.shape=}"
        count, several = frames.shape[2], self.trunk.frames
        pixels = self.prepared(frames)
        missing = -count % several
        pixels = torch.cat([pixels, pixels[:, -1:].expand(-1, missing, -1, -1, -1)], 1) if missing else pixels
        pixels = pixels.reshape(-1, several, *pixels.shape[2:])
        parts = pixels.split(len(pixels) if torch.is_grad_enabled() else AT_ONCE)
        seen = [self.trunk(part, layers) for part in parts]

        def whole(values: list[Tensor]) -> Tensor:
            return torch.cat(values).reshape(len(frames), -1, *values[0].shape[2:])[:, :count]

        return whole([pooled for pooled, _ in seen]), [
            whole([states[k] for _, states in seen]) for k in range(len(layers))
        ]

    def prepared(self, frames: Tensor) -> Tensor:
        """Resized to the network's size and normalised: Tensor[B, 3, T_v, H, W] -> Tensor[B, T_v, 3, size, size]."""
        pixels = frames.transpose(1, 2).float()  # a CPU resizes in no other type
        if pixels.shape[-2:] != (self.trunk.size, self.trunk.size):
            flat = functional.interpolate(
                pixels.flatten(0, 1), (self.trunk.size,) * 2, mode="bicubic", antialias=True, align_corners=False
            )
            pixels = flat.clamp_(0, 1).unflatten(0, pixels.shape[:2])
        mean, std = (pixels.new_tensor(v).view(1, 1, 3, 1, 1) for v in (self.config.mean, self.config.std))
        return pixels.sub(mean).div_(std).to(frames.dtype)
