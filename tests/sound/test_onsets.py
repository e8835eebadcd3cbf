"""Onset detection, optical flow and pseudo-labels on sounds and pictures with known times."""

import csv

import librosa
import mir_eval
import numpy as np
import pytest
import soundfile

from stav2a.metrics.flow import flow_magnitude, flow_peaks
from stav2a.sound.onsets import HEARD_AFTER_S, as_mono, detect_onsets, onset_frame_s, onset_strength


def clicks(times_s, duration_s=4.0, sample_rate=16_000, noise=1e-3, seed=0):
    """Decaying noise bursts at the given times over faint noise."""
    rng = np.random.default_rng(seed)
    waveform = noise * rng.standard_normal(round(duration_s * sample_rate))
    decay = np.exp(-np.arange(round(0.15 * sample_rate)) / (0.03 * sample_rate))
    for time_s in times_s:
        start = round(time_s * sample_rate)
        part = waveform[start : start + len(decay)]
        part += 0.5 * rng.standard_normal(len(part)) * decay[: len(part)]
    return waveform.astype(np.float32)


@pytest.mark.parametrize("sample_rate", [16_000, 22_050, 44_100])
def test_attack_detector_is_within_30_ms(sample_rate):
    times_s = [0.0, 0.5, 1.3, 1.5, 2.9]
    found_s = detect_onsets(clicks(times_s, sample_rate=sample_rate), sample_rate, "attack")
    assert mir_eval.onset.f_measure(np.array(times_s), found_s, window=0.03)[0] == 1.0


def test_librosa_detector_is_librosa_with_defaults_at_22050_hz():
    waveform = clicks([0.4, 1.1, 2.0], sample_rate=22_050)
    envelope = librosa.onset.onset_strength(y=waveform, sr=22_050)
    frames = librosa.onset.onset_detect(onset_envelope=envelope, sr=22_050)
    expected_s = librosa.frames_to_time(frames, sr=22_050)
    np.testing.assert_array_equal(detect_onsets(waveform, 22_050, "librosa"), expected_s)
    np.testing.assert_array_equal(onset_strength(waveform, 22_050), envelope)
    assert onset_frame_s() == 512 / 22_050


def test_onsets_are_heard_a_known_time_after_the_attack():
    """What labels add to true contacts is what the detector of all other onsets is late by."""
    times_s = [0.5, 1.3, 1.7, 2.9]
    heard_s = detect_onsets(clicks(times_s), 16_000)
    late_s = [min(heard_s - time_s, key=abs) for time_s in times_s]
    assert np.mean(late_s) == pytest.approx(HEARD_AFTER_S, abs=0.012)


@pytest.mark.parametrize("detector", ["attack", "librosa"])
@pytest.mark.parametrize(
    "waveform",
    [np.zeros(16_000), np.zeros(0), np.zeros(10), np.full(16_000, np.nan)],
    ids=["silence", "empty", "ten samples", "nan"],
)
def test_no_sound_has_no_onsets(waveform, detector):
    onsets_s = detect_onsets(waveform.astype(np.float32), 16_000, detector)
    assert onsets_s.shape == (0,)


def test_attack_detector_ignores_what_nobody_hears():
    quiet = 5e-4 * clicks([0.5, 1.0], noise=0.0)
    assert np.abs(quiet).max() < 1e-3  # -60 dB full scale, the documented limit
    assert detect_onsets(quiet, 16_000, "attack").shape == (0,)


def test_stereo_is_mixed_and_bad_input_refused():
    mono = clicks([0.5])
    np.testing.assert_allclose(as_mono(np.stack([mono, mono])), mono)
    np.testing.assert_allclose(as_mono(np.stack([mono, mono], axis=1)), mono)
    with pytest.raises(ValueError, match="sample rate"):
        detect_onsets(mono, 0)
    with pytest.raises(ValueError, match="detector"):
        detect_onsets(mono, 16_000, "ears")


def test_level_does_not_move_onsets():
    waveform = clicks([0.5, 1.7])
    for detector in ("librosa", "attack"):
        quiet = detect_onsets(0.05 * waveform, 16_000, detector)
        np.testing.assert_allclose(detect_onsets(waveform, 16_000, detector), quiet)


def test_attack_detector_agrees_with_the_sound_bank(shared):
    """The bank's onsets were found before its files were cut and levelled, so agreement is high, not full."""
    folder = shared / "soundbank"
    with open(folder / "manifest.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val" and row["kind"] == "multi"][:25]
    scores = []
    for row in rows:
        waveform, sample_rate = soundfile.read(folder / row["path"], dtype="float32")
        known_s = np.array([float(time_s) for time_s in row["onsets"].split(";")])
        found_s = detect_onsets(waveform, sample_rate, "attack")
        scores.append(mir_eval.onset.f_measure(known_s, found_s, window=0.02)[0])
    assert np.mean(scores) > 0.75


def moving_square(positions, size=64):
    frames = np.zeros((len(positions), size, size, 3), np.uint8)
    for frame, x in zip(frames, positions, strict=True):
        frame[20:40, int(x) : int(x) + 20] = 255
    return frames


def test_flow_peaks_where_the_square_jumps():
    # it rests, jumps by 6 pixels between frames 4 and 5, rests, jumps between 9 and 10
    frames = moving_square([5] * 5 + [11] * 5 + [17] * 5)
    magnitude = flow_magnitude(frames)
    assert magnitude.shape == (15,)
    assert magnitude[0] == magnitude[1]
    np.testing.assert_allclose(flow_peaks(magnitude, fps=10.0), [0.5, 1.0])
    assert flow_peaks(magnitude, fps=10.0, threshold=magnitude.max()).size == 0


def test_still_pictures_have_no_peaks():
    assert flow_peaks(flow_magnitude(moving_square([5] * 6)), 25.0).size == 0
    assert flow_magnitude(moving_square([5])).tolist() == [0.0]
    with pytest.raises(ValueError, match="frames"):
        flow_magnitude([])
