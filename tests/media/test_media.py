"""Clips in and out: constant rate, true times, loudness, mux."""

import threading

import numpy as np
import psutil
import pytest
import soundfile
from clips import FLASH_S, black, flash_frame, make, run_ffmpeg, tone

from stav2a.media import (
    Cancelled,
    InputError,
    Limits,
    ffmpeg,
    fit_loudness,
    loudness_lufs,
    mux,
    probe,
    read_audio,
    read_frames,
    write_wav,
)
from stav2a.media.limiter import bounded, limit, true_peak
from stav2a.media.mux import can_copy

RATE = 16_000


@pytest.fixture(scope="module")
def flash(tmp_path_factory):
    return make(tmp_path_factory.mktemp("clips") / "flash.mp4")


def click(at_s: float, duration_s: float) -> np.ndarray:
    waveform = np.zeros(round(duration_s * RATE), np.float32)
    waveform[round(at_s * RATE) :][:400] = 0.5 * np.sin(np.arange(400) * 0.8)
    return waveform


def first_loud_s(waveform: np.ndarray, sample_rate: int) -> float:
    mono = np.abs(waveform if waveform.ndim == 1 else waveform.mean(1))
    return int((mono > 0.1 * mono.max()).argmax()) / sample_rate


def test_probe(flash):
    info = probe(flash)
    assert (info.codec, info.width, info.height, info.frames) == ("h264", 96, 64, 50)
    assert info.duration_s == pytest.approx(2.0)
    assert info.fps == pytest.approx(25.0)
    assert [(track.channels, track.rate) for track in info.audio] == [(2, 44_100)]


@pytest.mark.parametrize("fps", [4.0, 12.5, 25.0, 30.0, 60.0])
def test_frames_come_at_the_asked_rate(flash, fps):
    clip = read_frames(flash, fps, 32)
    assert clip.frames.shape == (round(2 * fps), 32, 32, 3)
    assert clip.frames.dtype == np.uint8
    assert flash_frame(clip.frames) == pytest.approx(FLASH_S * fps, abs=1)


@pytest.mark.parametrize("start_s", [0.3, 0.8])
def test_part_of_a_clip(flash, start_s):
    clip = read_frames(flash, 25.0, 32, start_s, 1.0)
    assert clip.frames.shape[0] == 25
    assert flash_frame(clip.frames) == round((FLASH_S - start_s) * 25)


def test_picture_shown_since_long_before_the_start_is_seen(tmp_path):
    slow = make(tmp_path / "slow.mp4", rate=1, duration_s=4)
    clip = read_frames(slow, 25.0, 32, 1.5, 1.0)  # the white picture is on from 1 s to 2 s
    assert clip.frames[:12].mean() > 200 > 50 > clip.frames[13:].mean()


@pytest.mark.parametrize("source_fps", [12, 24, 25, 30, 50, 60])
@pytest.mark.parametrize("start_s", [0.0, 0.4, 3.2])
def test_the_picture_of_a_moment_is_the_one_a_screen_shows_then(tmp_path, source_fps, start_s):
    """Each picture is as bright as its number; frame k must be the last picture up to k / 25 s."""
    source = tmp_path / "counted.mkv"  # whose times are rounded to milliseconds
    brightness = ("-vf", "geq=lum='16+mod(N,24)*9':cb=128:cr=128", "-c:v", "ffv1")
    make(source, *brightness, rate=source_fps, duration_s=6, sound=False)
    found = read_frames(source, 25.0, 16, start_s, 2.0).frames.mean((1, 2, 3))
    times = np.round(np.arange(6 * source_fps) * 1000 / source_fps) / 1000
    number = np.searchsorted(times, start_s + np.arange(50) / 25 + 0.00101, "right") - 1
    wanted = number % 24 * 9 * 255 / 219
    assert np.abs(found - wanted).max() < 4
    near = read_frames(source, 25.0, 16, start_s, 2.0, shown="nearest").frames.mean((1, 2, 3))
    assert np.array_equal(near, found) == (source_fps == 25)
    with pytest.raises(ValueError, match="latest, nearest"):
        read_frames(source, 25.0, 16, shown="newest")


@pytest.mark.parametrize(
    ("start_s", "length_s", "sentence"),
    [
        (2.5, None, "2.5 s.*2.00 s"),
        (-1.0, None, "outside"),
        (float("nan"), None, "outside"),
        (1.0, 3.0, "beyond.*2.00 s"),
        (1.95, None, "at least 0.1 s"),
        (0.0, 0.0, "at least 0.1 s"),
    ],
)
def test_part_outside_the_clip_is_refused(flash, start_s, length_s, sentence):
    with pytest.raises(InputError, match=sentence):
        read_frames(flash, 25.0, 32, start_s, length_s)


def test_colours_keep_their_order(tmp_path):
    red = make(tmp_path / "red.mp4", filters="drawbox=color=red:t=fill")
    assert read_frames(red, 25.0, 16).frames.mean((0, 1, 2)) == pytest.approx([254, 0, 0], abs=4)


def test_transparent_pictures_stand_on_black(tmp_path):
    encoding = ("-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le")
    clear = make(tmp_path / "a.mov", *encoding, filters="drawbox=color=white:t=fill,format=yuva444p10le,lutyuv=a=0")
    assert read_frames(clear, 25.0, 16).frames.max() < 8


def test_audio_keeps_its_time(tmp_path, flash):
    source = tmp_path / "click.mp4"
    mux(flash, click(0.7, 2.0), RATE, source)
    heard = read_audio(source, RATE)
    assert heard.dtype == np.float32 and heard.shape == (32_000,)
    assert first_loud_s(heard, RATE) == pytest.approx(0.7, abs=0.004)
    part = read_audio(source, RATE, 0.5, 1.0)
    assert part.shape == (16_000,)
    assert first_loud_s(part, RATE) == pytest.approx(0.2, abs=0.004)


def test_late_track_is_preceded_by_silence(tmp_path):
    late = tmp_path / "late.mkv"
    run_ffmpeg(*black(), "-itsoffset", 0.5, *tone(1.0), "-c:v", "libx264", "-c:a", "pcm_s16le", late)
    heard = read_audio(late, RATE, 0.0, 2.0)
    assert np.abs(heard[: RATE // 2 - 50]).max() < 1e-3 < 0.05 < np.abs(heard[RATE // 2 + 500 : RATE]).max()
    assert np.abs(heard[int(1.6 * RATE) :]).max() < 1e-3


def test_silent_clip_has_no_audio(tmp_path):
    assert read_audio(make(tmp_path / "silent.mp4", sound=False), RATE) is None


def test_wav_round_trip(tmp_path):
    waveform = np.random.default_rng(0).uniform(-1, 1, 1000).astype(np.float32)
    soundfile_read, rate = soundfile.read(write_wav(tmp_path / "a.wav", waveform, RATE))
    assert rate == RATE
    np.testing.assert_allclose(soundfile_read, waveform, atol=1 / 32_000)
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_wav_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ValueError):
        write_wav(tmp_path / "a.wav", np.zeros((4, 4, 4)), RATE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", [-30.0, -23.0, -16.0])
def test_loudness_target_is_met(target):
    noise = np.random.default_rng(0).normal(0, 0.01, 3 * RATE).astype(np.float32)
    assert loudness_lufs(fit_loudness(noise, RATE, target), RATE) == pytest.approx(target, abs=0.1)


def hits(count: int = 6, duration_s: float = 5.0) -> np.ndarray:
    """Struck wood, decaying noise, 60 ms each, peaks at full scale, silence between."""
    rng, waveform = np.random.default_rng(0), np.zeros(round(duration_s * RATE), np.float32)
    decay = np.exp(-np.arange(0.3 * RATE) / (0.06 * RATE))
    for start in np.linspace(0.3, duration_s - 0.6, count):
        hit = rng.normal(0, 1, len(decay)) * decay
        waveform[round(start * RATE) :][: len(hit)] += 0.5 * hit / np.abs(hit).max()
    return waveform


@pytest.mark.parametrize("target", [-30.0, -23.0, -16.0])
def test_sparse_hits_reach_the_loudness_target_below_full_scale(target):
    quiet = 0.05 * hits()
    fitted = fit_loudness(quiet, RATE, target)
    assert loudness_lufs(fitted, RATE) == pytest.approx(target, abs=1.0)
    assert true_peak(fitted, RATE) <= 10 ** (-1 / 20) + 1e-6
    assert len(fitted) == len(quiet) and fitted.dtype == np.float32


def test_what_a_model_makes_of_silence_is_not_raised():
    hiss = np.random.default_rng(0).normal(0, 3e-4, 2 * RATE).astype(np.float32)  # about -70 dBFS
    assert loudness_lufs(fit_loudness(hiss, RATE, -23.0), RATE) == pytest.approx(loudness_lufs(hiss, RATE), abs=1e-3)


def test_limiter_turns_down_a_peak_and_leaves_the_rest():
    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)
    tone[RATE] = 2.0
    limited = limit(tone.astype(np.float32), RATE)
    assert true_peak(limited, RATE) <= 10 ** (-1 / 20) + 1e-6
    np.testing.assert_allclose(limited[: RATE - 100], tone[: RATE - 100], atol=1e-6)
    np.testing.assert_allclose(limited[RATE + RATE // 4 :], tone[RATE + RATE // 4 :], atol=1e-6)
    unclipped = (0.3 * tone[:RATE]).astype(np.float32)
    assert limit(unclipped, RATE) is unclipped


def test_limiter_gives_all_channels_one_gain():
    stereo = np.stack([2 * hits(), 0.2 * hits()], axis=1)
    limited = limit(stereo, RATE)
    loud = np.abs(stereo[:, 0]) > 0.1
    np.testing.assert_allclose(limited[loud, 1] / limited[loud, 0], 0.1, rtol=1e-4)
    assert true_peak(limited, RATE) <= 10 ** (-1 / 20) + 1e-6


def test_true_peak_is_found_between_samples():
    quarter = np.sin(np.pi / 2 * np.arange(400) + np.pi / 4).astype(np.float32)  # samples at 0.707, crests at 1
    assert true_peak(np.hanning(400).astype(np.float32) * quarter, RATE) == pytest.approx(1.0, abs=0.01)
    assert true_peak(np.zeros(0, np.float32), RATE) == 0.0


def test_gain_curve_keeps_its_bounds():
    needed = np.minimum(0, np.random.default_rng(1).normal(0, 3, 200))
    curve = bounded(needed, 1.0, 0.25)
    assert (curve <= needed + 1e-9).all()
    assert np.diff(curve).max() <= 0.25 + 1e-9 and np.diff(curve).min() >= -1.0 - 1e-9
    assert curve[needed.argmin()] == pytest.approx(needed.min())


def test_silence_and_short_sounds_have_a_loudness():
    silence = np.zeros(RATE, np.float32)
    assert loudness_lufs(silence, RATE) == float("-inf")
    assert np.array_equal(fit_loudness(silence, RATE, -23.0), silence)
    assert -20 < loudness_lufs(click(0.01, 0.1), RATE) < 0
    with pytest.raises(InputError, match="-90"):
        fit_loudness(silence, RATE, -90.0)


def test_whole_clip_is_copied_bit_for_bit(tmp_path, flash):
    out = mux(flash, click(0.7, 2.0), RATE, tmp_path / "out.mp4")
    info = probe(out)
    assert info.frames == 50 and info.duration_s == pytest.approx(2.0, abs=0.04)
    np.testing.assert_array_equal(read_frames(out, 25.0, 64).frames, read_frames(flash, 25.0, 64).frames)
    assert can_copy(probe(flash))


def test_cut_clip_keeps_picture_and_sound_together(tmp_path, flash):
    out = mux(flash, click(FLASH_S - 0.6, 1.2), RATE, tmp_path / "out.mp4", start_s=0.6, duration_s=1.2)
    clip = read_frames(out, 25.0, 32)
    assert clip.duration_s == pytest.approx(1.2, abs=0.04)
    assert flash_frame(clip.frames) == 10
    assert first_loud_s(read_audio(out, RATE), RATE) == pytest.approx(0.4, abs=0.004)


@pytest.mark.parametrize("length_s", [0.5, 2.0, 7.0])
def test_sound_is_brought_to_the_length_of_the_picture(tmp_path, flash, length_s):
    out = mux(flash, np.full(round(length_s * RATE), 0.1, np.float32), RATE, tmp_path / "out.mp4")
    from moviepy import VideoFileClip

    with VideoFileClip(str(out)) as file:
        assert file.duration == pytest.approx(2.0, abs=0.04)
        assert file.audio.duration == pytest.approx(2.0, abs=0.04)


def test_mix_keeps_the_original_at_its_gain(tmp_path, flash):
    silence = np.zeros(2 * RATE, np.float32)

    def level(out):
        return np.sqrt((read_audio(out, RATE)[4000:28_000] ** 2).mean())

    original = np.sqrt((read_audio(flash, RATE)[4000:28_000] ** 2).mean())
    replaced = mux(flash, silence, RATE, tmp_path / "r.mp4")
    plain = mux(flash, silence, RATE, tmp_path / "m.mp4", mode="mix")
    quiet = mux(flash, silence, RATE, tmp_path / "q.mp4", mode="mix", original_gain_db=-12.0)
    assert level(replaced) < 1e-3
    assert level(plain) == pytest.approx(original, rel=0.05)
    assert level(quiet) == pytest.approx(original * 10 ** (-12 / 20), rel=0.05)


def test_mix_of_a_silent_clip_is_the_new_sound(tmp_path):
    silent = make(tmp_path / "silent.mp4", sound=False)
    out = mux(silent, click(0.7, 2.0), RATE, tmp_path / "out.mp4", mode="mix")
    assert first_loud_s(read_audio(out, RATE), RATE) == pytest.approx(0.7, abs=0.004)


def test_loud_sounds_do_not_clip(tmp_path, flash):
    loud = (3 * np.sin(np.arange(2 * RATE) * 0.3)).astype(np.float32)
    out = mux(flash, loud, RATE, tmp_path / "out.mp4", mode="mix", original_gain_db=20.0)
    assert np.abs(read_audio(out, 48_000, channels=2)).max() < 1.0


@pytest.mark.parametrize("options", [{"mode": "duet"}, {"mode": "mix", "original_gain_db": 99.0}])
def test_unknown_mix_is_refused(tmp_path, flash, options):
    with pytest.raises(InputError):
        mux(flash, click(0.7, 2.0), RATE, tmp_path / "out.mp4", **options)
    assert list(tmp_path.iterdir()) == []


def test_varying_rate_survives_a_cut(tmp_path):
    filters = "drawbox=enable='gte(t,1)':color=white:t=fill,select='lt(t,1)+not(mod(n,5))'"
    source = tmp_path / "vfr.mp4"
    run_ffmpeg(*black(50, duration_s=3), "-vf", filters, "-fps_mode", "vfr", "-c:v", "libx264", source)
    out = mux(source, np.zeros(2 * RATE, np.float32), RATE, tmp_path / "out.mp4", start_s=0.5, duration_s=2.0)
    assert flash_frame(read_frames(out, 25.0, 32).frames) == pytest.approx(12, abs=1)
    assert probe(out).duration_s == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (Limits(file_mb=0.001), "MB"),
        (Limits(duration_s=1.0), "2.0 s.*1 s"),
        (Limits(pixels=1000), "96×64"),
        (Limits(frames=10), "50 pictures.*10"),
    ],
)
def test_limits(flash, limits, sentence):
    with pytest.raises(InputError, match=sentence):
        read_frames(flash, 25.0, 32, limits=limits)


def children() -> set[psutil.Process]:
    """Processes that this one has started."""
    return set(psutil.Process().children())


@pytest.fixture
def endless(monkeypatch):
    """Every run of ffmpeg works for ever."""
    real = ffmpeg.start

    def start(arguments, **options):
        pattern = ["-f", "lavfi", "-re", "-i", "testsrc", "-f", "null", "-"]
        return real(pattern, **options)

    monkeypatch.setattr(ffmpeg, "start", start)


def test_a_hanging_decoder_is_killed(flash, endless):
    before = children()
    with pytest.raises(InputError, match=r"within 0\.5 s"):
        read_frames(flash, 25.0, 32, limits=Limits(timeout_s=0.5))
    assert children() <= before


def test_cancel_stops_a_running_decoder(flash, endless):
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(Cancelled):  # and not the time limit's InputError
        read_frames(flash, 25.0, 32, cancelled=stop.is_set)


def test_real_clips_decode(shared):
    for path in sorted((shared / "clips").glob("*.mp4")):
        clip = read_frames(path, 25.0, 112)
        assert len(clip.frames) == round(clip.duration_s * 25)
        assert clip.frames.std() > 10
        assert read_audio(path, RATE, 0.0, clip.duration_s).std() > 1e-4
