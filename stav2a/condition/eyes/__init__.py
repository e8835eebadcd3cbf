"""A pretrained image network: what real frames show, as features (`network`) and as captions (`describer`)."""

from .describer import Suggestion, describe, named
from .network import EyesMissing, ImageNetEyes, Sight, shared_eyes

__all__ = ["EyesMissing", "ImageNetEyes", "Sight", "Suggestion", "describe", "named", "shared_eyes"]
