"""A person's own sound: trimmed, levelled, refused in one sentence; a picture as a still clip."""

import numpy as np
import pytest
import soundfile
from knocks import RATE, knock
from PIL import Image

from stav2a.media import InputError, probe, read_frames
from stav2a.media.limits import DEFAULT_LIMITS
from stav2a.media.sound_files import read_reference
from stav2a.media.still import is_picture, still_clip
from stav2a.recordings.reference import reference_voice
from stav2a.recordings.voice import LEVEL, at_level


def test_the_clearest_attack_is_cut_out():
    wave = np.zeros(4 * RATE, np.float32)
    wave[: 3 * RATE] += np.random.default_rng(0).normal(0, 1e-3, 3 * RATE)
    wave[RATE:][: RATE // 2] += 0.2 * knock(1)
    wave[2 * RATE :][: RATE // 2] += 0.9 * knock(2)
    (hit,) = reference_voice(wave, RATE).hits
    assert hit.attack == pytest.approx(0.03 * RATE, abs=0.012 * RATE)
    expected = at_level(0.9 * knock(2), RATE)
    found = hit.waveform[hit.attack :][:2000]
    lag = np.correlate(np.abs(found), np.abs(expected[:2000]), "same").argmax() - 1000
    assert abs(lag) < 0.015 * RATE
    block = hit.waveform[hit.attack :][: round(0.05 * RATE)]
    assert np.sqrt(np.mean(block**2)) == pytest.approx(LEVEL, rel=0.15)


def test_a_steady_sound_is_looped():
    rain = np.random.default_rng(0).normal(0, 0.02, 3 * RATE).astype(np.float32)
    voice = reference_voice(np.concatenate([np.zeros(RATE, np.float32), rain]), RATE)
    assert voice.texture is not None and not voice.hits
    assert len(voice.texture) == pytest.approx(3 * RATE, abs=RATE // 10)


def test_silence_is_refused():
    with pytest.raises(InputError, match="is silent"):
        reference_voice(np.zeros(RATE, np.float32), RATE)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_sound_files_are_read(tmp_path, suffix):
    soundfile.write(tmp_path / f"a{suffix}", np.stack([knock(), knock()], 1), 44_100)
    wave = read_reference(tmp_path / f"a{suffix}", RATE, DEFAULT_LIMITS)
    assert wave.dtype == np.float32 and len(wave) == pytest.approx(8000 * RATE / 44_100, abs=1200)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.wav", b"", r"empty \(0 bytes\)"),
        ("a.wav", b"RIFF of nothing", "no sound that can be read; accepted are wav"),
        ("a.mp3", b"just text\n" * 50, "can be read"),
        ("a.m3u8", b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "can be read"),
    ],
)
def test_bad_sound_files_get_one_sentence(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        read_reference(tmp_path / name, RATE, DEFAULT_LIMITS)


def test_folders_missing_and_too_short_sounds(tmp_path):
    for path in (tmp_path, tmp_path / "none.wav"):
        with pytest.raises(InputError, match="no file that can be opened"):
            read_reference(path, RATE, DEFAULT_LIMITS)
    soundfile.write(tmp_path / "click.wav", np.ones(20), RATE)
    with pytest.raises(InputError, match=r"lasts 0\.001 s"):
        read_reference(tmp_path / "click.wav", RATE, DEFAULT_LIMITS)


def test_a_picture_is_a_clip_that_stands_still(tmp_path):
    pixels = np.zeros((61, 101, 3), np.uint8)
    pixels[:, :50] = 200, 30, 30
    Image.fromarray(pixels).save(tmp_path / "a.png")
    clip = still_clip(tmp_path / "a.png", tmp_path / "a.mp4", 2.0)
    info = probe(clip)
    assert (info.width, info.height, info.frames, info.duration_s) == (100, 60, 50, pytest.approx(2.0, abs=0.02))
    frames = read_frames(clip, 25.0, 32).frames
    assert np.abs(frames.astype(int) - frames[0]).max() <= 4
    assert np.abs(frames[0, 16, 8].astype(int) - (200, 30, 30)).max() < 20
    assert is_picture("A.JPG") and not is_picture("a.mp4")


def test_pictures_are_turned_as_their_camera_noted(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (80, 40), "red").save(tmp_path / "a.jpg", exif=exif)
    info = probe(still_clip(tmp_path / "a.jpg", tmp_path / "a.mp4", 1.0))
    assert (info.width, info.height) == (40, 80)


def test_bad_pictures_get_one_sentence(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with pytest.raises(InputError, match="cannot be read; accepted are PNG"):
        still_clip(tmp_path / "a.png", tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()
