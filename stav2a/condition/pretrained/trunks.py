"""Pretrained vision networks of `transformers` and timm, one interface: frames of a segment -> features of each frame.

More axes: N segments, P patches of a frame, D width of the network, E width of its own pooled output.
"""

from __future__ import annotations

from contextlib import nullcontext
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from stav2a.condition.image_features.network import untrained_network, without_norms

States = tuple[Tensor, list[Tensor]]  # pooled Tensor[N, T_v, E] and, per layer asked for, Tensor[N, T_v, 1 + P, D]
ON_CPU = 4  # frames per call of a convolutional network on a CPU: the maps of more leave its cache


class ImageTrunk(nn.Module):
    """An image encoder, frame by frame: CLIP (with its projection), DINOv2, SigLIP.

    The first of a frame's 1 + P states is its CLS token, or the mean of the patches if the network has none.
    """

    frames = 1  # frames per segment

    def __init__(self, config: Any) -> None:
        from transformers import AutoModel, CLIPVisionModelWithProjection

        super().__init__()
        of_clip = config.model_type == "clip_vision_model"
        self.model = CLIPVisionModelWithProjection(config) if of_clip else AutoModel.from_config(config)
        self.width = config.hidden_size
        self.pooled_width = config.projection_dim if of_clip else config.hidden_size
        self.has_cls = config.model_type != "siglip_vision_model"
        self.layers = config.num_hidden_layers
        self.size = config.image_size

    def forward(self, pixels: Tensor, layers: tuple[int, ...] = ()) -> States:
        """pixels: Tensor[N, 1, 3, H, W], normalised. Layer l is the output of block l; 0 is the input of the first."""
        out = self.model(pixels[:, 0], output_hidden_states=bool(layers))
        pooled = out.image_embeds if hasattr(out, "image_embeds") else out.pooler_output
        states = [out.hidden_states[layer][:, None] for layer in layers]
        return pooled[:, None], states if self.has_cls else [with_mean(state) for state in states]


class XCLIPTrunk(nn.Module):
    """X-CLIP: frames exchange messages, and an integration transformer turns them into features of a video."""

    def __init__(self, config: Any) -> None:
        from transformers.models.x_clip.modeling_x_clip import XCLIPMultiframeIntegrationTransformer, XCLIPVisionModel

        super().__init__()
        self.vision_model = XCLIPVisionModel(config)
        integration = copy(config)  # as in XCLIPModel
        for field in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"):
            setattr(integration, field, getattr(config, f"mit_{field}"))
        self.visual_projection = nn.Linear(config.hidden_size, config.mit_hidden_size, bias=False)
        self.mit = XCLIPMultiframeIntegrationTransformer(integration)
        nn.init.normal_(self.mit.position_embedding, std=config.initializer_range)  # the class leaves it uninitialised
        self.width, self.pooled_width = config.hidden_size, config.mit_hidden_size
        self.layers, self.size, self.frames = config.num_hidden_layers, config.image_size, config.num_frames

    def forward(self, pixels: Tensor, layers: tuple[int, ...] = ()) -> States:
        """pixels: Tensor[N, frames, 3, H, W], normalised."""
        out = self.vision_model(pixels.flatten(0, 1), output_hidden_states=bool(layers))
        frames = self.visual_projection(out.pooler_output).unflatten(0, pixels.shape[:2])
        states = [out.hidden_states[layer].unflatten(0, pixels.shape[:2]) for layer in layers]
        return self.mit(frames).last_hidden_state, states


class TubeletTrunk(nn.Module):
    """ViViT and V-JEPA 2: tokens of small space-time boxes; each frame of a box gets the box's features.

    Neither has a token per frame: the mean of a frame's patches comes first and is the pooled feature.
    """

    def __init__(self, config: Any) -> None:
        from transformers import VivitModel, VJEPA2Model

        super().__init__()
        self.of_vivit = config.model_type == "vivit"
        if self.of_vivit:
            self.model = VivitModel(config, add_pooling_layer=False)
            self.size, self.frames, self.boxed = config.image_size, config.num_frames, config.tubelet_size[0]
        else:
            self.model = VJEPA2Model(config)
            self.model.predictor = nn.Identity()  # used only for its training
            self.size, self.frames, self.boxed = config.crop_size, config.frames_per_clip, config.tubelet_size
        self.width = self.pooled_width = config.hidden_size
        self.layers = config.num_hidden_layers

    def forward(self, pixels: Tensor, layers: tuple[int, ...] = ()) -> States:
        """pixels: Tensor[N, frames, 3, H, W], normalised."""
        options = {} if self.of_vivit else {"skip_predictor": True}
        out = self.model(pixels, output_hidden_states=bool(layers), **options)
        pooled = self._frames(out.last_hidden_state, pixels.shape[1])[:, :, 0]
        return pooled, [self._frames(out.hidden_states[layer], pixels.shape[1]) for layer in layers]

    def _frames(self, tokens: Tensor, count: int) -> Tensor:
        """Tensor[N, tokens, D] -> Tensor[N, T_v, 1 + P, D]."""
        if self.of_vivit:
            tokens = tokens[:, 1:]  # drop the token of the whole segment
        return with_mean(tokens.unflatten(1, (count // self.boxed, -1)).repeat_interleave(self.boxed, 1))


class ConvolutionTrunk(nn.Module):
    """EfficientNet-Lite, frame by frame: the mean of the last map. It has no layers of one width to choose from.

    name: of `image_features.network.SIZES`   image_size: pixels on both sides
    Batch norms are folded into the convolutions. Stem and first stage stay in fp32: in bf16 they would make most of the
    error and save little time.
    """

    frames = 1
    layers = 0

    def __init__(self, name: str, image_size: int) -> None:
        super().__init__()
        network = untrained_network(name)
        self.width = self.pooled_width = network.num_features
        self.size = image_size
        self.take(without_norms(network))

    def take(self, network: Any) -> None:
        """The layers of a network without batch norms, such as `load_network`'s, as this trunk's own."""
        first, *stages = network.blocks
        self.in_fp32 = nn.Sequential(network.conv_stem, network.bn1, first).requires_grad_()
        self.rest = nn.Sequential(*stages, network.conv_head, network.bn2, network.global_pool).requires_grad_()

    def forward(self, pixels: Tensor, layers: tuple[int, ...] = ()) -> States:
        """pixels: Tensor[N, 1, 3, H, W], normalised."""
        assert not layers, f"{layers=}"
        parts = pixels[:, 0].split(ON_CPU if pixels.device.type == "cpu" else len(pixels))
        pooled = torch.cat([self._pooled(part.contiguous(memory_format=torch.channels_last)) for part in parts])
        return pooled[:, None].to(pixels.dtype), []

    def _pooled(self, pixels: Tensor) -> Tensor:
        """Tensor[N, 3, H, W] -> Tensor[N, E]."""
        # a dry run counts on the meta device, for which there is no autocast
        with nullcontext() if pixels.is_meta else torch.autocast(pixels.device.type, enabled=False):
            maps = self.in_fp32(pixels.to(next(self.in_fp32.parameters()).dtype))
        return self.rest(maps.to(next(self.rest.parameters()).dtype))


def with_mean(patches: Tensor) -> Tensor:
    """Tensor[..., P, D] -> Tensor[..., 1 + P, D], the mean first."""
    return torch.cat([patches.mean(-2, keepdim=True), patches], -2)


TRUNKS = {
    "clip_vision_model": ImageTrunk,
    "dinov2": ImageTrunk,
    "siglip_vision_model": ImageTrunk,
    "xclip_vision_model": XCLIPTrunk,
    "vivit": TubeletTrunk,
    "vjepa2": TubeletTrunk,
    "efficientnet_lite": ConvolutionTrunk,
}


def build_trunk(architecture: dict) -> Any:
    """An untrained network from its configuration, a dict with `model_type`; the other fields are `transformers`' own,
    or the arguments of `ConvolutionTrunk`.
    """
    from transformers import AutoConfig

    values = dict(architecture)
    kind = values.pop("model_type", None)
    if kind not in TRUNKS:
        raise ValueError(f"A vision encoder of the type {kind!r} is not known; known are {', '.join(TRUNKS)}.")
    if kind == "efficientnet_lite":
        return ConvolutionTrunk(**values)
    return TRUNKS[kind](AutoConfig.for_model(kind, **values))
