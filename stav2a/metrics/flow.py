"""Motion of the picture: optical flow magnitude and its peaks, as AV-Align measures them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

SMALL_FLOW = 0.1  # pixels a frame; the authors' fix: still pictures have tiny maxima without motion
FARNEBACK = (0.5, 3, 15, 3, 5, 1.2, 0)  # pyramid scale, levels, window, iterations, poly_n, poly_sigma, flags
THREADS = 2  # OpenCV releases Python's lock, and uses one core for pictures of a model's size
AHEAD = 4  # pairs of pictures that wait, so that a long video does not fill the memory


def flow_magnitude(frames: Iterable[np.ndarray]) -> np.ndarray:
    """Mean Farneback flow magnitude before each frame: uint8 RGB [H, W, 3] each -> float [T] pixels a frame.

    The first value repeats the second, as in the authors' code, so that values and frames share their index.
    """
    import cv2

    magnitudes: list[float] = []
    previous = None
    with ThreadPoolExecutor(THREADS) as pool:
        ahead: deque[Future[float]] = deque()
        for frame in frames:
            grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
            if previous is not None:
                ahead.append(pool.submit(_between, previous, grey))
            if len(ahead) > AHEAD:
                magnitudes.append(ahead.popleft().result())
            previous = grey
        magnitudes += [each.result() for each in ahead]
    if previous is None:
        raise ValueError("optical flow needs frames, there are none")
    return np.asarray(magnitudes[:1] + magnitudes) if magnitudes else np.zeros(1)


def _between(previous: np.ndarray, grey: np.ndarray) -> float:
    """Mean magnitude of the flow from one grey picture [H, W] to the next."""
    import cv2

    flow = cv2.calcOpticalFlowFarneback(previous, grey, None, *FARNEBACK)
    return round(float(cv2.mean(cv2.magnitude(flow[..., 0], flow[..., 1]))[0]), 7)  # equal from run to run


def flow_peaks(magnitude: np.ndarray, fps: float, threshold: float = SMALL_FLOW) -> np.ndarray:
    """Times in seconds of the strict local maxima above `threshold`."""
    if fps <= 0:
        raise ValueError(f"frames a second must be positive, not {fps}")
    inner = magnitude[1:-1]
    peaks = (magnitude[:-2] < inner) & (inner > magnitude[2:]) & (inner > threshold)
    return (np.flatnonzero(peaks) + 1) / fps


def read_flow(path: Path) -> tuple[np.ndarray, float]:
    """(flow magnitude [T], fps) of a video at its own size, as AV-Align wants it."""
    import cv2

    capture = cv2.VideoCapture(str(path))
    try:
        fps = capture.get(cv2.CAP_PROP_FPS)
        if not capture.isOpened() or not fps > 0:
            raise ValueError(f"{path.name} is no video that can be read.")

        def frames() -> Iterator[np.ndarray]:
            while True:
                more, frame = capture.read()
                if not more:
                    return
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

        return flow_magnitude(frames()), float(fps)
    finally:
        capture.release()
