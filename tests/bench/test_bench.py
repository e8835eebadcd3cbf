"""The benchmark: what it reports is measured, and adds up."""

import json
import sys

import pytest
import torch

from stav2a.__main__ import main
from stav2a.bench.clips import moving_square
from stav2a.bench.measure import cost, matrix_rate, peak_memory
from stav2a.bench.served import served, server
from stav2a.bench.waits import slope
from stav2a.media import probe
from stav2a.media.limits import InputError


def test_operations_of_a_known_convolution_are_counted():
    layer = torch.nn.Conv2d(3, 5, 3, padding=1, bias=False)
    with torch.no_grad():
        found = cost(lambda: layer(torch.zeros(2, 3, 8, 8)), runs=1)
    assert found.gflop * 1e9 == 2 * 2 * 8 * 8 * 5 * 3 * 9
    assert found.seconds > 0


def test_peak_memory_sees_what_was_held_for_a_moment():
    with peak_memory() as small:
        torch.ones(1)
    with peak_memory() as large:
        block = torch.ones(64 * 2**20)  # 256 MB
        assert block.sum() > 0
        cost(lambda held=block: held.mul_(1), runs=2, count=False)
    assert large["mb"] - small["mb"] > 150


def test_matrix_rate_is_a_rate():
    assert matrix_rate("cpu", torch.float32, 256) > 0.1


def test_json_of_the_tiny_model(capsys):
    words = "--model tiny --seconds 1 --steps 2 --batch 1 2 --train 2 --step-counts 1 --runs 1 --json"
    assert main(["bench", *words.split()]) == 0
    result = json.loads(capsys.readouterr().out)
    for name in ("first", "following", "edited"):
        one = result["waits"][name]
        assert 0 < one["playable_s"] < one["whole_s"]
        assert sum(one["stages"].values()) == pytest.approx(one["whole_s"], abs=1e-3)
        assert set(one["stages"]) >= {"read", "video", "denoise", "decode", "mux", "measure", "figure"}
    assert result["waits"]["peak_memory_mb"] > result["interpreter_memory_mb"] > 0
    assert result["command_line_seconds"] is None
    one, two = (result["networks"][batch]["guided step"]["gflop"] for batch in ("1", "2"))
    assert two == pytest.approx(2 * one, rel=0.05)
    assert result["memory_mb"]["2"] > 0 and set(result["step_counts"]) == {"1"}
    step = result["training"]["2"]
    assert step["clips_per_second"] == pytest.approx(2 / step["seconds"])
    assert step["gflop"] > 2 * result["networks"]["1"]["guided step"]["gflop"] / 2  # backwards costs more than forwards
    # without its ControlNet a step does less
    assert set(result["rivals"]) == {"ours", "naive loop", "AudioLDM-class U-Net alone"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--seconds", "1e9"], "A clip of the benchmark lasts 0.5 to 300 s."),
        (["--batch", "0"], "A batch of the benchmark holds 1 to 256 clips."),
        (["--steps", "-1"], "The benchmark takes 1 to 1000 steps."),
        (["--step-counts", "0"], "The benchmark takes 1 to 1000 steps."),
        (["--served", "--visitors", "0"], "The benchmark takes 1 to 64 visitors at once."),
        (["--train", "999"], "A batch of the benchmark holds 1 to 256 clips."),
    ],
)
def test_absurd_numbers_get_a_sentence(words, sentence, capsys):
    assert main(["bench", "--model", "tiny", *words]) == 2
    assert capsys.readouterr().err.strip() == sentence


def test_requests_to_the_page_are_timed():
    found = served("tiny", 1.0, runs=1, visitors=2)
    assert set(found) == {"answers", "first", "another", "moved", "alone", "at_once"}
    assert all(seconds > 0 for seconds in found.values())


def test_a_page_that_does_not_start_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(InputError, match="The page does not start: it says nothing"), server("tiny", tmp_path):
        pass


def test_attention_on_a_processor_is_counted():
    query = torch.zeros(1, 2, 128, 8)
    found = cost(lambda: torch.nn.functional.scaled_dot_product_attention(query, query, query), runs=1)
    assert found.gflop * 1e9 == 2 * 2 * 2 * 128 * 128 * 8


@pytest.mark.parametrize("seconds", [1.0, 12.0])
def test_clip_has_the_asked_length(tmp_path, seconds):
    info = probe(moving_square(tmp_path / "clip.mp4", seconds, 64, 36, 10.0))
    assert info.duration_s == pytest.approx(seconds, abs=0.2) and info.frames == seconds * 10
    assert info.has_audio and [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_slope_of_a_line_that_is_known():
    assert slope({5.0: 1.1, 10.0: 1.6, 30.0: 3.6}) == pytest.approx((0.6, 0.1))


def test_json_of_recorded_which_has_no_networks(capsys):
    assert main(["bench", "--model", "recorded", "--seconds", "1", "--runs", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["steps"] == 0 and found["networks"] == {}
    assert "denoise" not in found["waits"]["following"]["stages"]
    assert main(["bench", "--model", "recorded", "--seconds", "1", "--runs", "1", "--train", "2"]) == 2
    assert "not trained" in capsys.readouterr().err
