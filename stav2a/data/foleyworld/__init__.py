"""FoleyWorld: seeded, rendered clips whose sound events are exactly timed."""

from .plan import Bed, Event, Score
from .world import FoleyWorld, Sample

__all__ = ["Bed", "Event", "FoleyWorld", "Sample", "Score"]
