"""Files as people really send them. Each case states its outcome: what is accepted, with its length and with the
flash where it belongs, and what is refused, with the sentence. Afterwards nothing is left behind and the next
request works."""

from __future__ import annotations

import re
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from clips import FLASH, FLASH_S, black, flash_frame, make, run_ffmpeg, tone
from small_runs import engine_with

from stav2a.generation.generate import generate
from stav2a.generation.settings import Settings
from stav2a.media import InputError, Limits, ffmpeg, mux, probe, read_audio, read_frames

RATE = 16_000
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


# ---- accepted: (maker, length in seconds, what the picture of the result is) --------------------------------


def hevc_10_bit(path):
    make(path, "-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=none")


def hdr(path):
    x265 = "log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    make(path, "-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", x265)


def av1(path):
    make(path, "-c:v", "libaom-av1", "-cpu-used", 8, "-crf", 40)


def vp9_alpha(path):
    make(path, "-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-deadline", "realtime", "-cpu-used", 8)


def prores(path):
    make(path, "-c:v", "prores_ks", "-profile:v", 2, "-c:a", "pcm_s16le")


def mpeg4_avi(path):
    make(path, "-c:v", "mpeg4", "-bf", 2, "-c:a", "mp3")


def transport_stream(path):
    make(path, *H264, "-f", "mpegts")


def rotated(path):
    plain = make(path.with_name("plain.mov"))
    run_ffmpeg("-display_rotation:v:0", 90, "-i", plain, "-c", "copy", path)
    plain.unlink()


def varying_rate(path):
    filters = f"{FLASH},select='lt(t,0.5)+not(mod(n,7))'"
    run_ffmpeg(*black(100), "-vf", filters, "-fps_mode", "vfr", *H264, path)


def late_picture(path):
    moved = make(path.with_name("part.mp4"), filters="drawbox=enable='gte(t,0.5)':color=white:t=fill", sound=False)
    run_ffmpeg("-itsoffset", 0.5, "-i", moved, *tone(2.5), "-c:v", "copy", "-c:a", "aac", path)
    moved.unlink()


def early_time_stamps(path):
    make(path, *H264, "-output_ts_offset", 1000, "-f", "mpegts")


def two_tracks(path):
    sources = [*black(), *tone(), *tone(hertz=880)]
    run_ffmpeg(*sources, "-vf", FLASH, "-map", 0, "-map", 1, "-map", 2, *H264, path)


def surround(path):
    run_ffmpeg(*black(), *tone(layout="5.1"), "-vf", FLASH, *H264, path)


def cover_picture(path):
    image, clip = path.with_name("cover.png"), make(path.with_name("part.mp4"))
    run_ffmpeg(*black(size="64x64"), "-frames:v", 1, image)
    maps = ["-map", 0, "-map", 1, "-c", "copy", "-disposition:v:1", "attached_pic"]
    run_ffmpeg("-i", clip, "-i", image, *maps, path)
    image.unlink(), clip.unlink()


def duration_unknown(path):
    command = [ffmpeg.binary(), "-nostdin", "-v", "error", *black(), *tone(), "-vf", FLASH, *H264]
    with open(path, "wb") as file:
        subprocess.run([*command, "-f", "matroska", "-live", "1", "pipe:1"], check=True, stdout=file)


def fragmented(path):
    make(path, *H264, "-movflags", "+frag_keyframe+empty_moov+default_base_moof")


def lying_duration(path):
    """The header claims an hour; two seconds are there."""
    data = bytearray(make(path).read_bytes())
    for box, at in ((b"mvhd", 16), (b"mdhd", 16), (b"tkhd", 20)):
        for match in re.finditer(box, data):
            where = match.end() + at
            scale = int.from_bytes(data[match.end() + 12 : match.end() + 16], "big") if box != b"tkhd" else 1000
            data[where : where + 4] = (3600 * scale).to_bytes(4, "big")
    path.write_bytes(data)


ACCEPTED = {
    "0.2 s": ("a.mp4", lambda path: make(path, duration_s=0.2), 0.2, "copied"),
    "duration unknown": ("a.mkv", duration_unknown, 2.0, "copied"),
    "fragmented": ("a.mp4", fragmented, 2.0, "copied"),
    "header lies about duration": ("a.mp4", lying_duration, 2.0, "copied"),
    "HEVC 10-bit": ("a.mp4", hevc_10_bit, 2.0, "coded again"),
    "HDR": ("a.mp4", hdr, 2.0, "coded again"),
    "AV1": ("a.mp4", av1, 2.0, "copied"),
    "VP9 with alpha": ("a.webm", vp9_alpha, 2.0, None),
    "ProRes": ("a.mov", prores, 2.0, "coded again"),
    "MPEG-4 AVI": ("a.avi", mpeg4_avi, 2.0, "coded again"),
    "transport stream": ("a.ts", transport_stream, 2.0, "coded again"),
    "time stamps from 1000 s": ("a.ts", early_time_stamps, 2.0, "coded again"),
    "rotated MOV": ("a.mov", rotated, 2.0, "copied"),
    "variable rate": ("a.mp4", varying_rate, 2.0, "copied"),
    "1 fps": ("a.mp4", lambda path: make(path, rate=1), 2.0, "copied"),
    "12 fps": ("a.mp4", lambda path: make(path, rate=12), 2.0, "copied"),
    "29.97 fps": ("a.mp4", lambda path: make(path, rate="30000/1001"), 2.002, "copied"),
    "240 fps": ("a.mp4", lambda path: make(path, rate=240), 2.0, "copied"),
    "odd sizes": ("a.mkv", lambda path: make(path, *H264[:4], "-pix_fmt", "yuv444p", size="97x63"), 2.0, "coded again"),
    "one pixel high": ("a.mkv", lambda path: make(path, "-c:v", "ffv1", size="640x2"), 2.0, "coded again"),
    "5.1 audio": ("a.mp4", surround, 2.0, "copied"),
    "two audio tracks": ("a.mp4", two_tracks, 2.0, "copied"),
    "late picture": ("a.mp4", late_picture, 2.5, "copied"),
    "cover picture": ("a.mp4", cover_picture, 2.0, "copied"),
    "GIF": ("a.gif", lambda path: make(path, "-c:v", "gif", sound=False), 2.0, "coded again"),
    "4K": ("a.mp4", lambda path: make(path, size="3840x2160", rate=10), 2.0, "copied"),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(tmp_path, case):
    name, maker, duration_s, picture = ACCEPTED[case]
    path = tmp_path / name
    maker(path)
    clip = read_frames(path, 25.0, 32)
    frame_s = max(0.04, 1 / clip.info.fps) + 1e-6
    assert clip.duration_s == pytest.approx(duration_s, abs=frame_s)
    assert len(clip.frames) == round(clip.duration_s * 25)
    if duration_s > FLASH_S:
        assert 0 <= flash_frame(clip.frames) - FLASH_S * 25 <= 2  # a picture is shown from its time on, 70 ms at most
        assert clip.frames.min() < 20 and clip.frames.max() > 200

    out = mux(path, np.zeros(round(clip.duration_s * RATE), np.float32), RATE, tmp_path / "out.mp4", mode="mix")
    result = read_frames(out, 25.0, 32)
    assert result.duration_s == pytest.approx(clip.duration_s, abs=frame_s)
    assert result.info.has_audio
    assert result.info.width == pytest.approx(clip.info.width, abs=1)
    length = min(len(result.frames), len(clip.frames))
    change = np.abs(result.frames[:length].astype(int) - clip.frames[:length]).mean((1, 2, 3))
    assert np.median(change) < 6 and (change > 60).sum() <= 2  # the flash may move by a frame
    assert result.info.codec in ("h264", "av1", "vp9")
    if picture is not None:
        assert (result.info.codec == clip.info.codec) == (picture == "copied" or clip.info.codec == "h264")
    if clip.info.has_audio:
        assert np.abs(read_audio(out, RATE)[1000:3000]).max() > 0.01  # the original is in the mix
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "out.mp4"])


def test_rotation_turns_the_picture(tmp_path):
    wide = make(tmp_path / "a.mov", filters="drawbox=color=white:w=iw/2:t=fill")  # left half white
    turned = tmp_path / "b.mov"
    run_ffmpeg("-display_rotation:v:0", 90, "-i", wide, "-c", "copy", turned)  # a quarter turn counter-clockwise
    clip = read_frames(turned, 25.0, 32)
    assert (clip.info.width, clip.info.height) == (64, 96)
    top, bottom = clip.frames[:, :14].mean(), clip.frames[:, 18:].mean()
    assert bottom > 250 > 5 > top


def test_an_hour_is_refused_whole_and_accepted_in_part(tmp_path):
    hour = make(tmp_path / "a.mp4", rate=1, duration_s=3600, size="64x64", sound=False)
    with pytest.raises(InputError, match=r"3600\.0 s .* 300 s .* start"):
        read_frames(hour, 25.0, 32)
    clip = read_frames(hour, 25.0, 32, start_s=3500.0, duration_s=2.0)
    assert len(clip.frames) == 50


# ---- refused: (maker, the sentence) ---------------------------------------------------------------------------


def written(data: bytes):
    return lambda path: path.write_bytes(data)


def cut(encoding, share):
    def maker(path):
        data = make(path, *H264, *encoding, size="320x240", filters=f"{FLASH},noise=alls=40:allf=t").read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return maker


def no_moov(path):
    data = make(path).read_bytes()
    path.write_bytes(data[: data.rindex(b"moov") - 4])


def audio_only(path):
    run_ffmpeg(*tone(), path)


def picture(path):
    run_ffmpeg(*black(), "-frames:v", 1, "-f", "image2", "-c:v", "png" if path.stem == "png" else "mjpeg", path)


def huge_picture(path):
    make(path, "-c:v", "libx264", "-preset", "ultrafast", size="8192x4320", rate=2, duration_s=1, sound=False)


def lying_size(path):
    """The container says 64×64, the stream holds 35 million pixels."""
    huge_picture(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"avc1", data.index(b"stsd")) + 28
    assert data[at : at + 4] == (8192).to_bytes(2, "big") + (4320).to_bytes(2, "big")
    data[at : at + 4] = (64).to_bytes(2, "big") * 2
    path.write_bytes(data)


def playlist(text):
    """A list that names a good video beside it, under the name of a video."""

    def maker(path):
        good = make(path.with_name("good.mp4"))
        path.write_text(text.format(good=good))

    return maker


HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{good}\n#EXT-X-ENDLIST\n"
DASH = (
    '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><BaseURL>{good}</BaseURL></Period></MPD>'
)
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"

REFUSED = {
    "0 bytes": ("a.mp4", written(b""), r"empty \(0 bytes\)"),
    "text as .mp4": ("a.mp4", written(b"This is no video.\n" * 100), "text file"),
    "text cut within a letter": ("a.mp4", written("é".encode() * 3000), "text file"),
    "noise": ("a.mp4", lambda path: path.write_bytes(np.random.default_rng(0).bytes(50_000)), "not a video"),
    "truncated mp4": ("a.mp4", cut(["-movflags", "+faststart"], 0.5), r"incomplete: only [\d.]+ s of 2\.0 s"),
    "truncated mkv": ("a.mkv", cut([], 0.5), r"incomplete: only [\d.]+ s"),
    "no moov": ("a.mp4", no_moov, "incomplete: .*moov"),
    "only ftyp": ("a.mp4", written(b"\0\0\0\x18ftypisom\0\0\2\0isomiso2"), "incomplete|not a video"),
    "audio only": ("a.m4a", audio_only, "only sound"),
    "audio only, mp3": ("a.mp3", audio_only, "not a video|only sound"),
    "JPEG as .mp4": ("a.mp4", picture, "JPEG picture"),
    "GIF of one picture": ("a.gif", lambda p: run_ffmpeg(*black(), "-frames:v", 1, p), "single picture"),
    "1 frame": ("a.mp4", lambda p: run_ffmpeg(*black(), "-frames:v", 1, *H264, p), "single picture"),
    "0.08 s": ("a.mp4", lambda p: make(p, duration_s=0.08), r"lasts 0\.08 s.*0\.1 s"),
    "huge pictures": ("a.mp4", huge_picture, r"8192×4320.*35\.4 million"),
    "huge pictures behind a small header": ("a.mp4", lying_size, "pixels|decoded|size"),
    "HLS playlist": ("a.m3u8", playlist(HLS), "playlist"),
    "HLS playlist as .mp4": ("a.mp4", playlist(HLS), "playlist"),
    "concat list": ("a.mp4", playlist("ffconcat version 1.0\nfile {good}\n"), "playlist"),
    "DASH manifest": ("a.mpd", playlist(DASH), "playlist"),
    "session description": ("a.sdp", written(SDP.encode()), "playlist"),
    "folder": ("a.mp4", lambda path: path.mkdir(), "folder"),
    "missing": ("a.mp4", lambda path: None, "cannot be opened"),
}


@pytest.fixture(scope="module")
def engine(tiny_pipeline):
    return engine_with(tiny_pipeline)


@pytest.fixture(scope="module")
def good_clip(tmp_path_factory):
    return make(tmp_path_factory.mktemp("good") / "good.mp4", duration_s=0.4)


def one_run(engine, path, out):
    result = None
    for result in generate(engine, path, Settings(model="tiny", steps=1), out):  # noqa: B007
        pass
    return result


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_one_sentence(tmp_path, engine, case):
    name, maker, sentence = REFUSED[case]
    path = tmp_path / name
    maker(path)
    before, threads = sorted(p.name for p in tmp_path.iterdir()), threading.active_count()
    with pytest.raises(InputError, match=sentence) as refusal:
        one_run(engine, path, tmp_path / "out" / "deep")
    said = str(refusal.value)
    assert "\n" not in said and said.endswith(".") and len(said) < 250
    assert str(tmp_path) not in said and "ffmpeg" not in said.lower()
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert threading.active_count() <= threads
    assert not engine.lock.locked()


def test_the_next_request_works(tmp_path, engine, good_clip):
    for bad in (b"", b"text", np.random.default_rng(1).bytes(9999)):
        path = tmp_path / "bad.mp4"
        path.write_bytes(bad)
        with pytest.raises(InputError):
            one_run(engine, path, tmp_path / "out")
    assert one_run(engine, good_clip, tmp_path / "out").takes[0].video.is_file()


def test_named_pipe_does_not_hang(tmp_path):
    import os

    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(InputError, match="not a file"):
        probe(tmp_path / "a.mp4")


def test_descriptions_inside_a_file_cannot_pose_as_streams(tmp_path):
    lies = "x\n  Stream #0:0: Video: h264, yuv420p, 2x2, 1 fps\n  Duration: 99:00:00.00"
    path = make(tmp_path / "a.mkv", *H264, "-metadata", f"title={lies}", "-metadata:s:v", f"title={lies}")
    info = probe(path)
    assert (info.width, info.height, info.duration_s) == (96, 64, pytest.approx(2.0, abs=0.04))


# ---- names are data ---------------------------------------------------------------------------------------------

NAMES = [
    "$(touch pwned).mp4",
    "`touch pwned`.mp4",
    "; touch pwned;.mp4",
    "-i.mp4",
    "--help.mp4",
    "a 'b' \"c\".mp4",
    "%03d.mp4",
    "concat:a.mp4",
    "file:a.mp4",
    "a|b&c<d>.mp4",
    "new\nline\n  Stream #0:7: Video: x.mp4",
    "\u202egpj.mp4",
    "名前 ünï\u0301.mp4",
    "<img src=x onerror=alert(1)>.mp4",
    "..mp4",
    "a" * 240 + ".mp4",
]


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_are_inert(tmp_path, engine, good_clip, name):
    inside = tmp_path / "in"
    inside.mkdir()
    path = inside / name
    path.write_bytes(good_clip.read_bytes())
    result = one_run(engine, path, tmp_path / "out")
    produced = [p for p in tmp_path.rglob("*") if p.is_file() and p != path]
    assert {p.parent for p in produced} == {tmp_path / "out"}
    assert not any(p.name == "pwned" for p in produced) and not Path("pwned").exists()
    assert probe(result.takes[0].video).has_audio
    assert all(p.name.isprintable() and not set(p.name) & set("$`|<>\"'\\:*?") for p in produced)


def test_output_folder_may_have_any_name(tmp_path, engine, good_clip):
    out = tmp_path / "-y $(id) 'q' %d\nline"
    assert one_run(engine, good_clip, out).bundle.parent == out


def test_limits_are_checked_on_what_is_decoded(tmp_path):
    """A frame counter that jumps to an hour: time stamps decide, not the number of pictures."""
    jump = tmp_path / "a.mkv"
    run_ffmpeg(*black(), "-vf", "setpts=if(gt(N\\,30)\\,PTS+3600/TB\\,PTS)", "-fps_mode", "vfr", *H264, jump)
    with pytest.raises(InputError, match=r"360\d\.\d s"):
        read_frames(jump, 25.0, 32, limits=Limits(duration_s=60))
