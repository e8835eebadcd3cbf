"""The figures of a model card: what they count, on cases worked out by hand, and one whole run."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stav2a.commands.measure.report import markdown
from stav2a.condition.onset import onset_curve
from stav2a.evaluation.models.foley_figures import average_precision, clip_f1, gain, median, micro_f1, summary
from stav2a.evaluation.models.foley_test import SOUNDS, FoleyTest, judged_peaks
from stav2a.evaluation.models.reconstruction import stft_distance, vocoded
from stav2a.metrics.buzz import frame_buzz_db, frame_repetition
from stav2a.metrics.dynamics import attack_times_s, noise_floor_db


def test_peaks_are_judged_once_and_highest_first():
    curve = np.maximum(onset_curve([1.0, 2.0], 100, 0.04), 0.5 * onset_curve([1.08, 3.0], 100, 0.04))
    judged = judged_peaks([1.0, 2.0], curve, 0.04)
    assert [hit for _, hit in judged[:2]] == [True, True]
    assert not any(hit for _, hit in judged[2:])  # 3.0 s is no event, 1.0 s is taken


def test_average_precision_by_hand():
    # hits at ranks 1 and 3 of two events: (1/1 + 2/3) / 2
    assert average_precision([(0.9, True), (0.8, False), (0.7, True)], 2) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision([(0.9, False)], 2) == 0
    assert average_precision([(0.9, True)], 4) == 0.25  # three were never found


def test_f1_counts_events_of_all_clips_together():
    found = micro_f1([([1.0, 2.0], [1.02, 3.0], 4.0), ([], [1.0], 4.0)])
    assert found["value"] == pytest.approx(2 * 1 / (2 + 3))
    assert found["ci95"][0] <= found["value"] <= found["ci95"][1]


def test_a_clip_without_events_is_in_the_pooled_f1_alone():
    clips = [([1.0, 2.0], [1.02, 3.0], 4.0), ([1.0], [1.0], 4.0), ([], [1.0, 2.0], 4.0)]
    assert clip_f1(clips)["value"] == pytest.approx((0.5 + 1.0) / 2) and clip_f1(clips)["n"] == 2
    assert micro_f1(clips)["value"] == pytest.approx(2 * 2 / (3 + 5)) and micro_f1(clips)["n"] == 3
    assert gain(clips, 0.008).score == pytest.approx(clip_f1(clips)["value"]), "what gains are gains of"


def test_what_another_wording_loses_is_told_by_the_same_clips():
    clips = [([1.0, 2.0], [1.0, 2.5], 4.0)] * 4
    found = FoleyTest(predicted=clips, heard=dict.fromkeys(SOUNDS, clips), events=8, precision=[(0.9, True)])
    found.ranks["generated"] += [1, 1, 4, 9, 9, 9]
    found.ranks_reworded += [1, 7, 5]
    rows = summary(found)
    assert rows["asked class, generated: top-1"]["value"] == pytest.approx(2 / 6)
    assert rows["asked class, usual wording of the same clips: top-1"]["value"] == pytest.approx(2 / 3)
    assert rows["asked class, other wording: top-5"]["value"] == pytest.approx(2 / 3)
    for first, lost in ((1, 1 / 3), (5, 1 / 3)):
        row = rows[f"asked class, lost by the other wording: top-{first}"]
        assert row["value"] == pytest.approx(lost) and row["n"] == 3
        assert row["ci95"][0] <= lost <= row["ci95"][1]


@pytest.mark.parametrize("ramp_ms", [5, 12, 40])
def test_an_attack_lasts_from_10_to_90_percent_of_its_rise(ramp_ms):
    rate, time = 16000, np.arange(16000) / 16000
    rising = np.clip((time - 0.4) / (ramp_ms / 1000), 0, 1) * np.exp(-np.clip(time - 0.4, 0, None))
    wave = rising * np.sin(2 * np.pi * 1000 * time)
    found = attack_times_s(wave, rate, [0.43, 0.9])  # heard 30 ms late; at 0.9 s nothing begins
    assert found * 1000 == pytest.approx([0.8 * ramp_ms], abs=2.5)
    assert not len(attack_times_s(np.zeros(16000), rate, [0.5])) and not len(attack_times_s(wave, rate, []))


def test_the_noise_floor_is_what_sounds_while_the_real_one_is_silent():
    rate, rng = 16000, np.random.default_rng(0)
    real = np.zeros(2 * rate, np.float32)
    real[:rate] = 0.1
    hiss = 0.01 * rng.standard_normal(2 * rate).astype(np.float32)
    hiss[:rate] *= 30  # loud where the real sound is: no noise
    hiss[-rate // 10 :] = 0.5  # one sound in the wrong place does not count either
    assert noise_floor_db(hiss, real, rate) == pytest.approx(-40, abs=0.3)
    assert noise_floor_db(0 * hiss, real, rate) == -120
    assert noise_floor_db(hiss, np.ones_like(real), rate) is None


def test_what_is_repeated_with_every_mel_frame_buzzes():
    rate, hop, rng = 16000, 160, np.random.default_rng(0)
    noise = 0.1 * rng.standard_normal(4 * rate)
    frozen = np.tile(noise[:hop], 4 * rate // hop)  # the same grains again and again: an envelope without phase
    assert frame_buzz_db(noise, rate, hop) == pytest.approx(0, abs=0.5)
    assert frame_buzz_db(frozen, rate, hop) > 40
    assert 2 < frame_buzz_db(noise + 0.5 * frozen, rate, hop) < 5 < 20 < frame_buzz_db(noise + 10 * frozen, rate, hop)
    tone = np.sin(2 * np.pi * 437 * np.arange(4 * rate) / rate)  # one tone, wherever it lies, is no buzz
    assert abs(frame_buzz_db(tone + 0.01 * noise, rate, hop)) < 1
    assert frame_buzz_db(np.zeros(rate), rate, hop) is None and frame_buzz_db(noise[:100], rate, hop) is None


def test_what_is_repeated_every_few_mel_frames_is_found():
    rate, hop, rng = 16000, 160, np.random.default_rng(0)
    noise = 0.1 * rng.standard_normal(4 * rate)
    assert frame_repetition(noise, rate, hop) == pytest.approx(0, abs=0.01)
    third = np.tile(noise[: 3 * hop], 4 * rate // (3 * hop))  # one grain every third frame: two of eight lags find it
    assert abs(frame_buzz_db(third, rate, hop)) < 10, "not at the rate of frames"
    assert frame_repetition(third, rate, hop) == pytest.approx(2 / 8, abs=0.1)
    assert frame_repetition(np.tile(noise[:hop], 400), rate, hop) > 0.8
    assert frame_repetition(np.zeros(rate), rate, hop) is None and frame_repetition(noise[:100], rate, hop) is None


def test_a_median_has_an_interval():
    found = median([1.0, 2.0, 3.0, 4.0, 100.0])
    assert found["value"] == 3 and found["n"] == 5
    assert 1 <= found["ci95"][0] < 3 < found["ci95"][1] <= 100


def test_gain_is_high_for_the_true_times_and_nothing_for_others():
    rng = np.random.default_rng(0)
    clips = [np.sort(rng.uniform(0.3, 4.7, 5)) for _ in range(30)]
    right = gain([(t, t, 5.0) for t in clips], 0.008)
    wrong = gain([(t, np.sort(rng.uniform(0.3, 4.7, 5)), 5.0) for t in clips], 0.008)
    assert right.gain > 0.6 and right.p < 0.001
    assert abs(wrong.gain) < 0.1


def test_distance_of_equal_sounds_is_nothing_and_grows():
    import torch

    wave = 0.1 * torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0))
    assert stft_distance(wave, wave) == 0
    assert 0 < stft_distance(wave, 0.9 * wave) < stft_distance(wave, 0.3 * wave)


def test_a_report_of_the_tiny_model(shared, tmp_path, capsys):
    from stav2a.__main__ import main

    words = ["--bank", str(shared / "soundbank"), "--count", "3", "--duration", "1.28", "--steps", "2", "--edited", "1"]
    assert main(["report", "--model", "tiny", *words, "--out", str(tmp_path), "--json"]) == 0
    tables = json.loads(capsys.readouterr().out)
    rows = tables["FoleyWorld test"]
    assert rows["onset predictor F1 ±50 ms"]["n"] == 3
    assert {f"{name}: onsets gain over chance" for name in SOUNDS[1:]} <= set(rows)
    assert {"chance", "p", "score"} <= set(rows["generated onsets gain over chance"])
    assert len(list((tmp_path / "pairs").glob("*_real.wav"))) == 3
    text = (tmp_path / "report.md").read_text()
    assert text == markdown(tables) and "Real test recordings" in text


def test_a_report_without_a_bank_is_one_sentence(tmp_path, capsys):
    from stav2a.__main__ import main

    assert main(["report", "--model", "tiny", "--bank", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()[-1].split(". ")) == 1


def test_a_sound_through_the_vocoder_keeps_its_length_and_its_silence():
    from stav2a.pipeline import STAV2APipeline

    pipe = STAV2APipeline.from_pretrained("compact")
    rate = pipe.timeline.sample_rate
    wave = 0.3 * np.random.default_rng(0).standard_normal(rate + 77).astype(np.float32)
    wave[rate // 2 :] = 0
    through = vocoded(pipe, wave)
    assert through.shape == wave.shape and through.dtype == np.float32
    loud, silent = slice(rate // 2), slice(rate * 3 // 4, None)
    assert 0.5 < np.square(through[loud]).mean() / np.square(wave[loud]).mean() < 2
    assert np.square(through[silent]).mean() < 1e-6
