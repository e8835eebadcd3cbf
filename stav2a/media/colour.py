"""Video as an ordinary screen shows it: deinterlaced, HDR converted to BT.709, transparency on black.

HDR follows ITU-R BT.2408: reference white is 203 cd/m², and brighter values are rolled off.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from stav2a.media import ffmpeg
from stav2a.media.limits import InputError

if TYPE_CHECKING:
    from stav2a.media.probe import ClipInfo

REFERENCE_WHITE = 203  # cd/m²
TRANSFER = {"pq": "smpte2084", "hlg": "arib-std-b67", "bt2020": "2020_10"}  # `ClipInfo.hdr` -> zscale's name
TAGS_709 = ["-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709", "-color_range", "tv"]
OF_HDR = ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL")  # metadata that is wrong after tone mapping


def whole_pictures(info: ClipInfo) -> list[str]:
    """Deinterlacing filters: one frame for each pair of fields, so the number of frames stays."""
    return ["bwdif=mode=send_frame:deint=interlaced"] if info.interlaced else []


def as_shown(info: ClipInfo) -> list[str]:
    """Filters to put after scaling: HDR and wide colours to BT.709, transparency on black."""
    if has_alpha(info.pixel_format):
        return ["format=gbrap", "premultiply=inplace=1"]
    if not info.hdr:
        return []
    if not _has_zscale():
        raise InputError("The pictures are HDR, which this ffmpeg cannot convert: it lacks the filter zscale.")
    source = f"tin={TRANSFER[info.hdr]}:min=2020_ncl:pin=2020:rin={'full' if info.full_range else 'limited'}"
    linear = f"zscale={source}:t=linear:npl={REFERENCE_WHITE}"
    rolled_off = ["tonemap=tonemap=mobius:desat=0"] if info.hdr != "bt2020" else []
    return [
        "format=yuv444p10le",
        linear,
        "format=gbrpf32le",
        "zscale=p=709",
        *rolled_off,
        "zscale=t=709:m=709:r=limited",
        "format=yuv444p",
        *[f"sidedata=mode=delete:type={note}" for note in OF_HDR],
    ]


def tags(info: ClipInfo) -> list[str]:
    """Encoder options that declare the colours produced by `as_shown`."""
    return TAGS_709 if info.hdr else []


def has_alpha(pixel_format: str) -> bool:
    return pixel_format.startswith(("yuva", "rgba", "argb", "bgra", "abgr", "gbrap", "ya", "pal8"))


@cache
def _has_zscale() -> bool:
    with ffmpeg.start(["-filters"], timeout_s=20) as run:
        return b" zscale " in (run.stdout.readall() or b"")
