"""A struck object, synthesised."""

import numpy as np

RATE = 16_000


def knock(seed: int = 0, ring_s: float = 0.05, length_s: float = 0.5, hz: float = 600.0) -> np.ndarray:
    """Struck wood: a decaying tone with a noisy attack."""
    rng, times = np.random.default_rng(seed), np.arange(round(length_s * RATE)) / RATE
    noise = rng.normal(0, 1, len(times)) * np.exp(-times / 0.01)
    return (0.6 * (np.sin(2 * np.pi * hz * times) * np.exp(-times / ring_s) + 0.5 * noise)).astype(np.float32)
