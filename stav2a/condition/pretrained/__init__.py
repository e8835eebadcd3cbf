"""Pretrained vision networks from `transformers` and timm as video encoders."""

from .video_encoder import IMAGENET_MEAN, IMAGENET_STD, HubVideoEncoder

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "HubVideoEncoder"]
