"""Tracks of sound: the default or a chosen one is read; all, with subtitles and chapters, are kept where asked for."""

from __future__ import annotations

import re
import subprocess

import numpy as np
import pytest

from stav2a.generation.batch import Task, run_batch
from stav2a.generation.engine import Engine
from stav2a.generation.settings import Settings
from stav2a.media import InputError, ffmpeg, mux, probe, read_audio, write_wav
from stav2a.media.limits import DEFAULT_LIMITS
from stav2a.media.mux import keep_tracks, mux_file
from stav2a.media.sound_files import read_sound
from tests.helpers.clips import black, run_ffmpeg, tone

RATE = 16_000


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """440 Hz in stereo, 880 Hz in 5.1 as the default track, subtitles, two chapters."""
    folder = tmp_path_factory.mktemp("film")
    (folder / "said.srt").write_text("1\n00:00:00,200 --> 00:00:00,900\nA hammer.\n")
    (folder / "chapters.txt").write_text(
        ";FFMETADATA1\n"
        + "".join(
            f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={start + 500}\ntitle=part {start}\n" for start in (0, 500)
        )
    )
    sources = [*black(duration_s=1), *tone(1), *tone(1, "5.1", 880), "-i", folder / "said.srt", "-i"]
    run_ffmpeg(*sources, folder / "chapters.txt", "-map", "0", "-map", "1", "-map", "2", "-map", "3",
               "-map_chapters", "4", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "ac3",
               "-c:s", "srt", "-disposition:a:0", "0", "-disposition:a:1", "default", folder / "film.mkv")  # fmt: skip
    run_ffmpeg("-i", folder / "film.mkv", "-map", "0", "-c", "copy", "-c:s", "mov_text", folder / "film.mp4")
    return folder / "film.mkv"


def pitch(sound: np.ndarray) -> float:
    mono = sound[2000:14_000]
    return float(np.argmax(np.abs(np.fft.rfft(mono * np.hanning(len(mono))))) * RATE / len(mono))


def test_the_default_track_or_the_chosen_one_is_read(film):
    info = probe(film)
    assert [(track.channels, track.default) for track in info.audio] == [(2, False), (6, True)]
    assert pitch(read_audio(film, RATE)) == pytest.approx(880, abs=3)
    assert pitch(read_audio(film, RATE, track=1)) == pytest.approx(440, abs=3)
    with pytest.raises(InputError, match="2 audio tracks; there is no track 3"):
        read_audio(film, RATE, track=3)


def test_a_found_file_whose_second_track_is_the_default(shared):
    clip = shared / "findings" / "inputs" / "two_audio_tracks_second_is_default.mkv"
    first, second, default = (read_audio(clip, RATE, track=track) for track in (1, 2, None))
    assert np.array_equal(default, second) and not np.array_equal(default, first)


@pytest.mark.parametrize("track", [1, None])
def test_the_chosen_track_is_mixed_in(film, tmp_path, track):
    made = mux(film, np.zeros(RATE, np.float32), RATE, tmp_path / "out.mp4", "mix", track=track)
    assert pitch(read_audio(made, RATE)) == pytest.approx(440 if track else 880, abs=3)


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_equal_channels_keep_their_level(tmp_path, layout):
    sources = [*black(duration_s=1), "-f", "lavfi", "-i", "sine=440:duration=1"]
    equal = "|".join(f"c{k}=c0" for k in range({"mono": 1, "stereo": 2, "5.1": 6}[layout]))
    run_ffmpeg(*sources, "-af", f"pan={layout}|{equal}", "-c:a", "pcm_s16le", tmp_path / "clip.mkv")
    level = 1 / 8  # of ffmpeg's sine
    nothing = write_wav(tmp_path / "nothing.wav", np.zeros(RATE, np.float32), RATE)
    mixed = [
        mux(tmp_path / "clip.mkv", np.zeros(RATE, np.float32), RATE, tmp_path / "short.mp4", "mix"),
        mux_file(tmp_path / "clip.mkv", nothing, tmp_path / "long.mp4", 0.0, 0.0, 1.0, DEFAULT_LIMITS),
    ]
    for sound in (
        read_audio(tmp_path / "clip.mkv", RATE),
        read_audio(tmp_path / "clip.mkv", RATE, channels=2),
        read_sound(tmp_path / "clip.mkv", RATE),
        *(read_audio(made, RATE, channels=2) for made in mixed),
    ):
        tone = sound[RATE // 4 : RATE // 2]
        assert np.sqrt(2 * np.mean(tone**2, axis=0)) == pytest.approx(level, rel=0.02)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_everything_is_kept_beside_the_new_sound(film, tmp_path, suffix):
    clip = film.with_suffix(suffix)
    new = np.sin(2 * np.pi * 220 * np.arange(RATE) / RATE).astype(np.float32) * 0.2
    kept = keep_tracks(clip, mux(clip, new, RATE, tmp_path / "out.mp4"), tmp_path / "kept.mkv")
    info = probe(kept)
    assert [(track.channels, track.default) for track in info.audio] == [(1, True), (2, False), (6, False)]
    assert [round(pitch(read_audio(kept, RATE, track=k)) / 10) for k in (1, 2, 3)] == [22, 44, 88]
    assert info.frames == 25
    said = subprocess.run([ffmpeg.binary(), "-hide_banner", "-i", kept], capture_output=True, text=True).stderr
    assert "Subtitle: subrip" in said and len(re.findall(r"Chapter #0:\d", said)) == 2
    text = subprocess.run(
        [ffmpeg.binary(), "-v", "error", "-i", kept, "-f", "srt", "-"], capture_output=True, text=True
    )
    assert "00:00:00,2" in text.stdout and "A hammer." in text.stdout


def test_tracks_are_an_export_of_a_run(film, tmp_path):
    settings = Settings(model="tiny", steps=1, exports=("tracks",), audio_track=1, original_audio="mix")
    cut = Settings(model="tiny", steps=1, exports=("tracks",), length_s=0.5)
    tasks = [Task(film, settings, tmp_path / "whole"), Task(film, cut, tmp_path / "part")]
    whole, part = sorted(run_batch(Engine("tiny"), tasks), key=lambda outcome: outcome.task.out_dir.name, reverse=True)
    assert whole.error is None and len(probe(tmp_path / "whole" / "film_sound.mkv").audio) == 3
    assert part.error == "All tracks are kept of a whole clip only: leave out the start and the length."
