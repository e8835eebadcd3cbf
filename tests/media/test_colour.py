"""HDR comes to ordinary screens, the model and a person see the same, fields become pictures, tags are true."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from stav2a.media import ffmpeg, mux, probe, read_frames
from stav2a.media.mux import can_copy
from tests.helpers.clips import make, run_ffmpeg

NOTHING = np.zeros(1600, np.float32)
# 10-bit code values of reference white, 203 cd/m² (ITU-R BT.2408), and of the grey that BT.709 shows at half the signal
PQ_WHITE, HLG_WHITE = 0.581, 0.75


def hdr_clip(path: Path, transfer: str, level: float) -> Path:
    """Grey at a share of the signal's range, as HEVC of 10 bits with the tags of HDR."""
    code = round(64 + 876 * level)
    grey = f"format=yuv420p10le,lutyuv=y={code}:u=512:v=512"
    params = f"colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:range=limited:log-level=none"
    master = (
        ":hdr10=1:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"
    )
    coding = ("-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params")
    tags = ("-color_primaries", "bt2020", "-color_trc", transfer, "-colorspace", "bt2020nc")
    return make(path, *coding, params + (master if transfer == "smpte2084" else ""), *tags,
                duration_s=0.4, sound=False, filters=grey)  # fmt: skip


def report(path: Path) -> str:
    return subprocess.run([ffmpeg.binary(), "-hide_banner", "-i", path], capture_output=True, text=True).stderr


@pytest.mark.parametrize(
    ("transfer", "level", "expected"),
    [
        ("smpte2084", 0.0, (0, 3)),
        ("smpte2084", PQ_WHITE, (185, 240)),  # bright and not clipped
        ("smpte2084", 0.75, (240, 255)),  # 1000 cd/m²
        ("arib-std-b67", HLG_WHITE, (185, 240)),
        ("arib-std-b67", 1.0, (240, 255)),
        ("bt2020-10", 0.5, (121, 134)),  # as BT.709: only the colours are wider
    ],
)
def test_high_dynamic_range_is_brought_to_bt709(tmp_path, transfer, level, expected):
    clip = hdr_clip(tmp_path / "hdr.mp4", transfer, level)
    assert probe(clip).hdr == {"smpte2084": "pq", "arib-std-b67": "hlg"}.get(transfer, "bt2020")
    seen = read_frames(clip, 25.0, 32).frames
    assert expected[0] <= seen.mean() <= expected[1] and seen.std() < 3, seen.mean()

    made = mux(clip, NOTHING, 16_000, tmp_path / "out.mp4")
    shown = probe(made)
    assert (shown.codec, shown.pixel_format, shown.hdr, shown.frames) == ("h264", "yuv420p", "", 10)
    assert read_frames(made, 25.0, 32).frames.mean() == pytest.approx(seen.mean(), abs=3)
    said = report(made)
    assert re.search(r"yuv420p\(tv, bt709", said) and "bt2020" not in said
    assert "Mastering Display" not in said and "Content Light" not in said


def test_colours_of_hdr_stay_what_they_are(shared, tmp_path):
    clip = shared / "findings" / "inputs" / "hdr10_pq_bt2020_hevc10.mp4"
    seen = read_frames(clip, 25.0, 48).frames.astype(float)
    made = read_frames(mux(clip, NOTHING, 16_000, tmp_path / "out.mp4"), 25.0, 48).frames
    assert (np.abs(seen - made) < 12).mean() > 0.8  # all but edges, which are scaled before or after


def test_an_ordinary_stream_is_copied_with_its_tags(tmp_path):
    tags = ("-color_primaries", "smpte170m", "-color_trc", "smpte170m", "-colorspace", "smpte170m")
    clip = make(tmp_path / "sd.mp4", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", *tags)
    assert "smpte170m" in report(clip)
    assert "smpte170m" in report(mux(clip, NOTHING, 16_000, tmp_path / "out.mp4"))


def test_fields_become_whole_pictures(tmp_path):
    """A white bar that moves 8 pixels a field: the two fields of a picture show it at two places."""
    bar = "color=black:size=128x64:rate=50:duration=1,drawbox=x=8*n:y=0:w=24:h=64:color=white:t=fill"
    coding = ("-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-q:v", "2")
    clip = tmp_path / "fields.mpg"
    run_ffmpeg("-f", "lavfi", "-i", f"{bar.replace('8*n', '8*t*50')},interlace=scan=tff:lowpass=off", *coding, clip)
    assert probe(clip).interlaced and probe(clip).frames == 25 and not can_copy(probe(clip))
    for path in (clip, mux(clip, NOTHING, 16_000, tmp_path / "out.mp4")):
        frames = read_frames(path, 25.0, 64).frames[1:-1, ..., 0].astype(int)
        combs = np.abs(frames[:, 1:-1] - (frames[:, :-2] + frames[:, 2:]) // 2)
        assert combs.max() < 40, path.name
    assert probe(path).frames == 25 and not probe(path).interlaced
