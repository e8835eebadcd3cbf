"""Several videos one after the other in one file, each under its title: to show a comparison where there is no page."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stav2a.media.limits import InputError
from stav2a.media.probe import probe

if TYPE_CHECKING:
    from moviepy import VideoClip

BAND = 0.12  # height of the title's band, in picture heights
LONGEST_TITLE = 120  # characters


def write_reel(videos: Sequence[Path], out: Path, titles: Sequence[str] = ()) -> float:
    """Write the videos to `out` (H.264, AAC) in the size of the first; -> seconds.

    titles: one a video; file names without ending where there are none. Raises `InputError` for what is no clip, for
    titles that do not match, and where `out` is one of the videos.
    """
    titles = list(titles) or [video.stem for video in videos]
    if len(titles) != len(videos):
        raise InputError(f"There are {len(titles)} titles for {len(videos)} videos.")
    if long := next((title for title in titles if len(title) > LONGEST_TITLE), None):
        raise InputError(f"The title {long[:30]!r}… is longer than {LONGEST_TITLE} characters.")
    if out.resolve() in [video.resolve() for video in videos]:
        raise InputError(f"{out} is one of the videos.")
    if out.suffix.lower() != ".mp4":
        raise InputError(f"A reel is an mp4 file, and {out.name} does not end in .mp4.")
    infos = [probe(video) for video in videos]  # refuses what ffmpeg should not open on its own

    from moviepy import VideoFileClip, concatenate_videoclips

    width, height = even(infos[0].width), even(infos[0].height)
    opened = [VideoFileClip(str(video.resolve())) for video in videos]
    try:
        parts = [titled(clip, title, width, height) for clip, title in zip(opened, titles, strict=True)]
        joined = concatenate_videoclips(parts)
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".reel-") as work:
            made = Path(work) / "reel.mp4"
            sound = {"audio_codec": "aac", "temp_audiofile_path": work}
            joined.write_videofile(
                str(made), fps=max(clip.fps for clip in opened), codec="libx264", logger=None, **sound
            )
            made.replace(out)
        return float(joined.duration)
    finally:
        for clip in opened:
            clip.close()


def titled(clip: VideoClip, title: str, width: int, height: int) -> VideoClip:
    """The clip within width × height, black around it, below a band with its title."""
    from moviepy import ColorClip, CompositeVideoClip, TextClip

    band = even(math.ceil(height * BAND))
    size = width, band + height
    fitted = clip.resized(min(width / clip.w, height / clip.h))
    layers = [
        ColorClip(size, (0, 0, 0)).with_duration(clip.duration),
        fitted.with_position(((width - fitted.w) // 2, band + (height - fitted.h) // 2)),
    ]
    if title.strip():
        text = TextClip(text=title, size=(width, band), method="caption", color="white", text_align="center")
        layers.append(text.with_duration(clip.duration))
    return CompositeVideoClip(layers, size=size)


def even(side: int) -> int:
    """H.264 halves the resolution of colour."""
    return max(2, side - side % 2)
