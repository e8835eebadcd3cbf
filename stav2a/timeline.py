"""Every rate and length of a model, each defined once.

Axes used in the docstrings of this package:
    B  items of a batch             S  audio samples
    T  latent frames (40 ms each)    M  mel frames (10 ms each)
    T_v  video frames               F  latent frequency bins
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


def exact_div(numerator: int, denominator: int) -> int:
    """`numerator / denominator`, which must be an integer."""
    quotient, rest = divmod(numerator, denominator)
    if rest:
        raise ValueError(f"{numerator} is not a multiple of {denominator}")
    return quotient


@dataclass(frozen=True)
class Timeline:
    """Rates of sound, latents and video, and the lengths derived from them.

    The defaults are the compact model's: one video frame per latent frame. The paper samples the video at 4 fps
    over 10 s (§III-A and the authors' code), which covers the first 250 of 256 latent frames.
    """

    sample_rate: int = 16_000  # Hz
    hop_length: int = 160  # samples between mel frames
    mel_bins: int = 64
    window_s: float = 10.24  # the sound one pass of the U-Net covers
    mel_per_latent: int = 4  # the VAE's reduction of time and of frequency
    latent_channels: int = 8
    fps: float = 25.0
    video_window_s: float = 10.24
    frame_size: int = 96  # pixels, both sides
    shown: str = "latest"  # which picture stands for a moment (`media.frames.read_frames`)

    @property
    def samples(self) -> int:
        return round(self.window_s * self.sample_rate)

    @property
    def mel_frames(self) -> int:
        return exact_div(self.samples, self.hop_length)

    @property
    def latent_frames(self) -> int:
        return exact_div(self.mel_frames, self.mel_per_latent)

    @property
    def latent_bins(self) -> int:
        return exact_div(self.mel_bins, self.mel_per_latent)

    @property
    def samples_per_latent(self) -> int:
        return self.hop_length * self.mel_per_latent

    @property
    def latent_rate(self) -> float:
        """Latent frames per second."""
        return self.sample_rate / self.samples_per_latent

    @property
    def latent_frame_s(self) -> float:
        """Seconds per latent frame."""
        return self.samples_per_latent / self.sample_rate

    @property
    def video_frames(self) -> int:
        """Frames of one window."""
        return round(self.video_window_s * self.fps)

    @property
    def local_frames(self) -> int:
        """Latent frames that the video of one window covers; the rest repeats the last one."""
        return round(self.video_window_s * self.latent_rate)

    @property
    def is_framewise(self) -> bool:
        """One video frame per latent frame, so that clips of any length need no stretching."""
        return self.fps == self.latent_rate

    def latent_length(self, duration_s: float) -> int:
        """Latent frames that cover `duration_s` seconds."""
        samples = round(duration_s * self.sample_rate)
        return -(-samples // self.samples_per_latent)

    def to_dict(self) -> dict:
        return asdict(self)


COMPACT = Timeline()
PAPER = Timeline(fps=4.0, video_window_s=10.0, frame_size=224, shown="nearest")  # as the authors' code reads
TINY = Timeline(window_s=2.56, video_window_s=2.56, frame_size=32)
