"""A still image as a video clip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stav2a.media import ffmpeg
from stav2a.media.limits import DEFAULT_LIMITS, InputError, Limits

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
FPS = 25
LENGTH_S = 5.0
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
LARGEST = 1920  # pixels of the longer side of the clip


def is_picture(path: str | Path) -> bool:
    """Whether the file name has the suffix of an image."""
    return Path(path).suffix.lower() in SUFFIXES


def still_clip(
    picture: str | Path,
    out: str | Path,
    length_s: float = LENGTH_S,
    limits: Limits = DEFAULT_LIMITS,
    cancelled: Callable[[], bool] | None = None,
) -> Path:
    """Write `out` (mp4, H.264, silent): the picture for `length_s` seconds, rotated as its metadata says."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    limits.check_duration(length_s)
    out = Path(out)
    with ffmpeg.open_source(picture, limits) as source:  # refuses missing, empty and too large files
        try:
            with Image.open(source.path, formats=FORMATS) as image:
                if image.width * image.height > limits.pixels:
                    raise InputError(
                        f"The picture has {image.width}×{image.height} pixels; "
                        f"at most {limits.pixels / 1e6:.1f} million are accepted."
                    )
                shown = ImageOps.exif_transpose(image).convert("RGB")
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError("The picture cannot be read; accepted are PNG, JPEG, WebP, BMP and TIFF.") from error
    shown.thumbnail((LARGEST, LARGEST))
    width, height = (max(2, side - side % 2) for side in shown.size)  # H.264 needs even sides
    shown = shown.resize((width, height)) if shown.size != (width, height) else shown
    frames = max(2, round(length_s * FPS))
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(FPS), "-i", "pipe:0"]
    coding = ["-c:v", "libx264", "-preset", "veryfast", "-tune", "stillimage", "-crf", "18", "-pix_fmt", "yuv420p"]
    arguments = ["-loglevel", "error", "-y", *raw, "-vf", f"loop=loop={frames - 1}:size=1", *coding, "-f", "mp4"]
    arguments += ["-frames:v", str(frames), f"file:{out}"]
    with ffmpeg.start(arguments, feed=shown.tobytes(), timeout_s=limits.timeout_s, cancelled=cancelled) as run:
        if not run.written(out):
            raise RuntimeError(f"ffmpeg could not make a clip of the picture: {run.messages[-300:]}")
    return out
