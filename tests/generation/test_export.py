"""Markers, single hits and sound files for other programs."""

import numpy as np
import pytest
import soundfile
from knocks import RATE, knock

from stav2a.generation.export import export, hit_markers, onsets_from_markers, stems
from stav2a.generation.settings import EXPORTS
from stav2a.media import InputError
from stav2a.media.markers import read_markers
from stav2a.media.sound_files import write_sound
from stav2a.sound.onsets import HEARD_AFTER_S

ONSETS = [0.5, 1.2, 2.0]


@pytest.fixture
def sound() -> np.ndarray:
    waveform = np.zeros(3 * RATE, np.float32)
    for k, onset in enumerate(ONSETS):
        waveform[round((onset - HEARD_AFTER_S) * RATE) :][: RATE // 2] += knock(k) / (k + 1)
    return waveform


def test_every_export_is_written_and_read_back(tmp_path, sound):
    paths = export(tmp_path, "clip_sound", sound, RATE, ONSETS, EXPORTS)
    assert sorted(path.name for path in paths) == sorted(path.name for path in tmp_path.iterdir())
    assert {path.suffix for path in paths} == {".txt", ".csv", ".mid", ".edl", ".wav"}
    for path in paths:
        if path.suffix != ".wav":
            times = [marker.time_s for marker in read_markers(path)]
            assert times == pytest.approx([time - HEARD_AFTER_S for time in ONSETS], abs=0.021)
            assert onsets_from_markers(path) == pytest.approx(ONSETS, abs=0.021)
    strengths = [marker.strength for marker in read_markers(tmp_path / "clip_sound_onsets.mid")]
    assert strengths[0] == pytest.approx(1.0, abs=0.01) and strengths[0] > strengths[1] > strengths[2]


def test_stems_are_the_hits_and_add_up_to_the_sound(sound):
    found = stems(sound, RATE, ONSETS)
    assert len(found) == 3
    again = np.zeros_like(sound)
    for start_s, piece in found:
        start = round(start_s * RATE)
        again[start : start + len(piece)] += piece
    np.testing.assert_allclose(again, sound, atol=0.02 * np.abs(sound).max())
    assert all(np.abs(piece[: round(0.025 * RATE)]).max() < 1e-3 for _, piece in found)


def test_nothing_to_export():
    assert hit_markers(np.zeros(RATE, np.float32), RATE, []) == []
    assert stems(np.zeros(RATE, np.float32), RATE, [0.5]) == []


def test_unknown_kinds_are_refused(tmp_path, sound):
    with pytest.raises(InputError, match="no export 'aaf'"):
        export(tmp_path, "x", sound, RATE, ONSETS, ["midi", "aaf"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "subtype"), [("a.wav", "PCM_16"), ("a.flac", "PCM_24")])
@pytest.mark.parametrize("rate", [None, 48_000])
def test_formats_and_rates(tmp_path, sound, name, subtype, rate):
    path = write_sound(tmp_path / name, sound, RATE, rate)
    info = soundfile.info(path)
    assert (info.samplerate, info.subtype) == (rate or RATE, subtype)
    assert info.frames == pytest.approx(3 * (rate or RATE), abs=2)
    assert [p.name for p in tmp_path.iterdir()] == [name]
