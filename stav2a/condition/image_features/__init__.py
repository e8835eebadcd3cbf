"""A pretrained image network: what real frames show, as features (`network`) and as captions (`describer`)."""

from .describer import Suggestion, describe, named
from .network import ImageNetFeatures, ImageNetworkMissing, Recognition, shared_network

__all__ = [
    "ImageNetFeatures",
    "ImageNetworkMissing",
    "Recognition",
    "Suggestion",
    "describe",
    "named",
    "shared_network",
]
