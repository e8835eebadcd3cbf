"""Fréchet distance, KL, Inception Score and the hub networks' edges."""

import sys

import numpy as np
import pytest
import scipy.linalg
from scipy.stats import entropy

from stav2a.metrics.clap_score import pam_share, segments
from stav2a.metrics.classifier import Unavailable, inception_score, kl_divergence, load_tagger
from stav2a.metrics.distance import frechet_distance, own_ranks, sample_size_note


def gaussian(n, dim, seed, scale=1.0, shift=0.0):
    rng = np.random.default_rng(seed)
    return shift + scale * rng.standard_normal((n, dim)) @ rng.standard_normal((dim, dim))


def test_frechet_equals_scipy_sqrtm():
    a, b = gaussian(400, 8, 0), gaussian(300, 8, 1, scale=0.7, shift=0.5)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(cov_a @ cov_b)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root.real)
    assert frechet_distance(a, b).distance == pytest.approx(expected, rel=1e-8)


def test_frechet_of_one_channel_is_the_textbook_formula():
    a, b = gaussian(500, 1, 0), gaussian(500, 1, 1, shift=2.0)
    expected = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
    assert frechet_distance(a, b).distance == pytest.approx(expected)


def test_frechet_of_a_set_with_itself_is_zero_however_few():
    few = gaussian(5, 64, 0)  # a singular covariance, where a matrix square root goes wrong
    result = frechet_distance(few, few)
    assert 0.0 <= result.distance < 1e-6 * np.trace(np.cov(few, rowvar=False))
    assert "biased" in result.note


def test_sample_size_notes():
    assert sample_size_note(10_000, 128) == ""
    assert "equal n" in sample_size_note(300, 128)
    assert "biased" in sample_size_note(128, 128)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((1, 4)), np.zeros((5, 4)), "shape"),
        (np.zeros((5, 4)), np.zeros((5, 3)), "channels"),
        (np.full((5, 4), np.nan), np.zeros((5, 4)), "finite"),
    ],
)
def test_frechet_refuses_what_has_no_distance(a, b, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(a, b)


def test_kl_equals_scipy_and_survives_zeros():
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    assert kl_divergence(p, q) == pytest.approx(entropy(p, q), abs=1e-5)
    assert kl_divergence(p, p) == pytest.approx(0.0, abs=1e-5)
    assert np.isfinite(kl_divergence([1.0, 0.0], [0.0, 1.0]))


def test_inception_score_runs_from_one_to_the_number_of_classes():
    assert inception_score(np.full((6, 4), 0.25)) == pytest.approx(1.0)
    assert inception_score(np.eye(4)) == pytest.approx(4.0)
    with pytest.raises(ValueError, match="shape"):
        inception_score(np.zeros(4))


def test_unknown_and_unreachable_networks_speak_plainly(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match="networks are bank, aisfx, ast"):
        load_tagger("ears")
    with pytest.raises(Unavailable, match="bank classifier"):
        load_tagger("bank", str(tmp_path))
    with pytest.raises(Unavailable, match="could not be loaded"):
        load_tagger("ast", str(tmp_path / "nothing"))


def test_a_network_that_talks_and_cannot_download_is_one_sentence(tmp_path, monkeypatch, capsys):
    """As panns_inference does offline: it prints, then misses the file that it could not fetch."""
    package = tmp_path / "panns_inference"
    package.mkdir()
    (package / "__init__.py").write_text("print('Checkpoint path')\nopen('/nowhere/class_labels_indices.csv')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "weights.pth").touch()
    with pytest.raises(Unavailable, match=r"could not be loaded: offline"):
        load_tagger("panns", str(tmp_path / "weights.pth"))
    assert capsys.readouterr().out == ""  # where the JSON of an evaluation goes


@pytest.mark.parametrize(("name", "package"), [("panns", "panns_inference"), ("passt", "hear21passt")])
def test_a_missing_package_is_named(name, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("stav2a.metrics.classifier.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match=f"pip install {package}"):
        load_tagger(name)


def test_ast_runs_from_a_local_folder(tmp_path):
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    config = ASTConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, num_labels=7, max_length=64
    )
    ASTForAudioClassification(config).save_pretrained(tmp_path)
    ASTFeatureExtractor(max_length=64).save_pretrained(tmp_path)
    tagger = load_tagger("ast", str(tmp_path))
    embeddings, probabilities = tagger.describe(np.random.default_rng(0).standard_normal(16_000) * 0.1)
    assert embeddings.shape == (1, 32)
    assert probabilities.shape == (7,)
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-5)


def test_pam_arithmetic():
    assert pam_share([1.0, 1.0]) == 0.5
    assert pam_share([3.0, 1.0]) == pytest.approx(1 / (1 + np.exp(-2)))
    parts = segments(np.arange(5.0), 3)
    assert [part.tolist() for part in parts] == [[0, 1, 2], [3, 4, 3]]
    with pytest.raises(ValueError, match="samples"):
        segments(np.zeros(0), 3)


def test_code_of_no_fixed_version_is_never_fetched_and_run(tmp_path, monkeypatch):
    import torch

    fetched = []
    monkeypatch.setattr(torch.hub, "load", lambda *given, **options: fetched.append((given, options)))
    monkeypatch.delenv("STAV2A_VGGISH", raising=False)
    for source in (None, str(tmp_path), "harritaylor/torchvggish"):
        with pytest.raises(Unavailable, match="code of its own"):
            load_tagger("vggish", source)
    assert fetched == []
    (tmp_path / "hubconf.py").write_text("")
    monkeypatch.setattr("stav2a.metrics.classifier.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="pip install resampy"):
        load_tagger("vggish", str(tmp_path))
    monkeypatch.setattr("stav2a.metrics.classifier.find_spec", lambda name: name)
    monkeypatch.setattr("stav2a.weights.reach.reachable", lambda address: False)
    with pytest.raises(Unavailable, match="could not be loaded"):  # the weights are on GitHub
        load_tagger("vggish", str(tmp_path))
    monkeypatch.setattr("stav2a.weights.reach.reachable", lambda address: True)
    with pytest.raises(AttributeError):  # what the stand-in returns is no network
        load_tagger("vggish", str(tmp_path))
    assert fetched == [((str(tmp_path),), {"model": "vggish", "source": "local"})]


def test_the_rank_of_the_own_sound_counts_those_that_are_nearer():
    reference = np.eye(5)
    assert own_ranks(reference, reference).tolist() == [0, 0, 0, 0, 0]
    turned = np.roll(reference, 1, axis=0) + 0.1 * reference
    assert own_ranks(reference, turned) == pytest.approx([0.25] * 5), "one of the four others is nearer"
    assert own_ranks(reference, -reference) == pytest.approx([1.0] * 5)
    rng = np.random.default_rng(0)
    assert own_ranks(rng.normal(size=(400, 8)), rng.normal(size=(400, 8))).mean() == pytest.approx(0.5, abs=0.05)
    with pytest.raises(ValueError, match="pairs"):
        own_ranks(reference, reference[:3])
