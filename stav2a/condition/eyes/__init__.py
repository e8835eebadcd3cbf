"""Pretrained eyes: what real pictures show, as features (`network`) and as captions of what sounds (`describer`)."""

from .describer import Suggestion, describe, named
from .network import EyesMissing, ImageNetEyes, Sight, shared_eyes

__all__ = ["EyesMissing", "ImageNetEyes", "Sight", "Suggestion", "describe", "named", "shared_eyes"]
