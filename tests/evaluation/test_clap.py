"""CLAP's scores in `evaluate`, with transformers' own CLAP, tiny and random, from a folder."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
import torch
from tiny_clap import write_clap

from stav2a.__main__ import main
from stav2a.metrics.clap_score import ClapScore, Pam, segments


@pytest.fixture(scope="module")
def clap(tmp_path_factory):
    return write_clap(tmp_path_factory.mktemp("clap") / "model")


def test_evaluate_gives_both_scores_from_a_folder(clap, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for side in ("real", "made"):
        (tmp_path / side).mkdir()
        for name in ("rain", "dog"):
            soundfile.write(tmp_path / side / f"{name}.wav", 0.3 * rng.standard_normal(16_000), 16_000)
    (tmp_path / "captions.csv").write_text("file,caption\nrain,rain falls\ndog,a dog barks\n")
    folders = ["--reference", str(tmp_path / "real"), "--generated", str(tmp_path / "made")]
    words = ["--clap", "--pam", "--clap-model", str(clap), "--captions", str(tmp_path / "captions.csv")]
    assert main(["evaluate", *folders, *words, "--networks", "--workers", "1", "--trials", "2", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    for name, least in (("clap", -1), ("clap_reference", -1), ("pam_laion", 0), ("pam_laion_reference", 0)):
        assert metrics[name]["n"] == 2 and least <= metrics[name]["mean"] <= 1
    assert (
        main(["evaluate", *folders, "--clap", "--clap-model", str(tmp_path / "none"), "--networks", "--workers", "1"])
        == 0
    )
    said = capsys.readouterr().err
    assert f"left out: The weights of {tmp_path / 'none'} could not be loaded" in said


def test_a_score_is_the_cosine_that_transformers_gives(clap):
    network = ClapScore(str(clap))
    wave = np.random.default_rng(1).standard_normal(48_000).astype(np.float32)
    sound = network.processor.feature_extractor(wave, sampling_rate=48_000, return_tensors="pt")
    text = network.processor.tokenizer(["a dog barks"], return_tensors="pt")
    with torch.no_grad():
        out = network.model(**text, **sound)
    scale = network.model.logit_scale_a.detach().exp()
    assert network(wave, "a dog barks") == pytest.approx((out.logits_per_audio[0, 0] / scale).item(), abs=1e-5)
    # PAM's share of the first of its two captions is the softmax of the network's own logits
    text = network.processor.tokenizer(
        ["the sound is clear and clean.", "the sound is noisy and with artifacts."], return_tensors="pt", padding=True
    )
    whole = torch.from_numpy(segments(wave, network.most_samples)[0]).numpy()
    sound = network.processor.feature_extractor(whole, sampling_rate=48_000, return_tensors="pt")
    with torch.no_grad():
        wanted = network.model(**text, **sound).logits_per_audio[0].softmax(-1)[0]
    assert Pam(network)(wave) == pytest.approx(float(wanted), abs=1e-4)
