"""Pretrained vision networks of transformers as the video encoder of a system."""

from .video_encoder import IMAGENET_MEAN, IMAGENET_STD, HubVideoEncoder

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "HubVideoEncoder"]
