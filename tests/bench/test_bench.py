"""The benchmark: what it reports is measured, and adds up."""

import json

import pytest
import torch

from stav2a.__main__ import main
from stav2a.bench import stages
from stav2a.bench.measure import cost, matrix_rate, peak_memory


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
    words = "--model tiny --seconds 1 --steps 2 --batch 1 2 --train 2 --step-counts 1 --json"
    assert main(["bench", *words.split()]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["rtf"] == pytest.approx(result["seconds"] / 1)
    assert sum(result["stages"].values()) == pytest.approx(result["seconds"])
    assert set(result["stages"]) >= {"decode", "video features", "denoise", "VAE and vocoder", "mux"}
    assert result["peak_memory_mb"] > result["interpreter_memory_mb"] > 0
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
        (["--seconds", "1e9"], "A clip of the benchmark lasts 0.5 to 600 s."),
        (["--batch", "0"], "A batch of the benchmark holds 1 to 256 clips."),
        (["--steps", "-1"], "The benchmark takes 1 to 1000 steps."),
        (["--step-counts", "0"], "The benchmark takes 1 to 1000 steps."),
        (["--train", "999"], "A batch of the benchmark holds 1 to 256 clips."),
    ],
)
def test_absurd_numbers_get_a_sentence(words, sentence, capsys):
    assert main(["bench", "--model", "tiny", *words]) == 2
    assert capsys.readouterr().err.strip() == sentence


def test_attention_on_a_processor_is_counted():
    query = torch.zeros(1, 2, 128, 8)
    found = cost(lambda: torch.nn.functional.scaled_dot_product_attention(query, query, query), runs=1)
    assert found.gflop * 1e9 == 2 * 2 * 2 * 128 * 128 * 8


def test_recordings_are_a_stage_of_their_own(tiny_pipeline, tmp_path):
    clip = stages.test_clip(tmp_path, 1.0)
    timed = stages.time_stages(tiny_pipeline, clip, tmp_path / "out.mp4", {"strength": 0.5, "num_inference_steps": 2})
    assert timed["recordings"] > 0 and timed["denoise"] > 0


def test_json_of_recorded_which_has_no_networks(capsys):
    assert main(["bench", "--model", "recorded", "--seconds", "1", "--runs", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["steps"] == 0 and found["networks"] == {} and "denoise" not in found["stages"]
    assert main(["bench", "--model", "recorded", "--seconds", "1", "--runs", "1", "--train", "2"]) == 2
    assert "not trained" in capsys.readouterr().err
