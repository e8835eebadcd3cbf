"""Pretrained vision encoders: every family that transformers offers, with tiny random weights and no hub."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    SiglipConfig,
    SiglipModel,
    VivitConfig,
    VivitForVideoClassification,
    VJEPA2Config,
    VJEPA2Model,
    XCLIPConfig,
    XCLIPModel,
)

from stav2a.__main__ import main
from stav2a.condition.pretrained import HubVideoEncoder
from stav2a.models import licences
from stav2a.weights import reach, vision
from stav2a.weights.errors import WeightsError

NARROW = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
TEXT = {**NARROW, "num_hidden_layers": 1, "vocab_size": 99}
PICTURE = {**NARROW, "image_size": 32, "patch_size": 16}
MIT = {"mit_hidden_size": 16, "mit_intermediate_size": 16, "mit_num_hidden_layers": 1, "mit_num_attention_heads": 2}
JEPA = {"pred_hidden_size": 24, "pred_num_hidden_layers": 1, "pred_num_attention_heads": 2, "mlp_ratio": 2}
MODELS = {
    "clip": lambda: CLIPModel(CLIPConfig(text_config=TEXT, vision_config=PICTURE, projection_dim=8)),
    "x-clip": lambda: XCLIPModel(
        XCLIPConfig(text_config=TEXT, vision_config={**PICTURE, "num_frames": 4, **MIT}, projection_dim=16)
    ),
    "siglip": lambda: SiglipModel(SiglipConfig(text_config={**TEXT, "projection_size": 16}, vision_config=PICTURE)),
    "vivit": lambda: VivitForVideoClassification(
        VivitConfig(**{**NARROW, "image_size": 32}, num_frames=4, tubelet_size=[2, 16, 16])
    ),
    "v-jepa2": lambda: VJEPA2Model(
        VJEPA2Config(
            crop_size=32, frames_per_clip=4, patch_size=16, hidden_size=24, num_hidden_layers=3,
            num_attention_heads=2, **JEPA,
        )
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder in transformers' form a family, and the models themselves."""
    root, models = tmp_path_factory.mktemp("vision"), {}
    for name, build in MODELS.items():
        torch.manual_seed(3)
        models[name] = build().eval()
        models[name].save_pretrained(root / name)
    (root / "clip" / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7], "do_resize": True})
    )
    return root, models


@pytest.fixture
def frames() -> torch.Tensor:
    return torch.rand(2, 3, 7, 40, 40, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_every_family_gives_a_feature_a_frame_and_opens_again(folders, frames, tmp_path, name):
    encoder = vision.video_encoder(str(folders[0] / name), levels=(1, 3))
    features = encoder(frames)
    assert features.shape == (2, 7, encoder.config.feature_dim)
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(2, 7))
    beside, maps = encoder(frames[:1], maps=True)
    torch.testing.assert_close(beside, features[:1])
    assert [(list(f.shape), list(p.shape)) for f, p in maps] == [
        ([7, encoder.trunk.width], [7, encoder.trunk.width, 2, 2])
    ] * 2
    assert encoder.level_dim == 2 * encoder.trunk.width
    encoder.save_pretrained(tmp_path)
    assert torch.equal(HubVideoEncoder.from_pretrained(tmp_path).eval()(frames), features)


@torch.no_grad()
def test_features_are_those_of_transformers(folders):
    root, models = folders
    frames = torch.rand(1, 3, 4, 32, 32, generator=torch.Generator().manual_seed(2))

    def theirs(model, mean, std, video: bool) -> torch.Tensor:
        pixels = (frames.transpose(1, 2)[0] - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
        if video:
            return model.get_video_features(pixel_values=pixels[None]).pooler_output[0]
        return model.get_image_features(pixel_values=pixels).pooler_output

    clip = vision.video_encoder(str(root / "clip"))
    assert tuple(clip.config.mean) == (0.1, 0.2, 0.3)  # the repository's own
    wanted = theirs(models["clip"], clip.config.mean, clip.config.std, False)
    torch.testing.assert_close(clip(frames, normalize=False)[0], wanted, atol=1e-5, rtol=1e-4)
    x_clip = vision.video_encoder(str(root / "x-clip"))
    wanted = theirs(models["x-clip"], x_clip.config.mean, x_clip.config.std, True)
    torch.testing.assert_close(x_clip(frames, normalize=False)[0].mean(0), wanted, atol=1e-5, rtol=1e-4)
    vivit = vision.video_encoder(str(root / "vivit"))
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (vivit.config.mean, vivit.config.std))
    tokens = models["vivit"].vivit((frames.transpose(1, 2) - mean) / std).last_hidden_state[0, 1:]
    torch.testing.assert_close(vivit(frames, normalize=False)[0, 2], tokens[4:].mean(0), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_bf16_resizes_as_well(folders, frames):
    encoder = vision.video_encoder(str(folders[0] / "clip"))
    wanted = encoder(frames)
    seen = encoder.to(torch.bfloat16)(frames.bfloat16())
    assert seen.dtype == torch.bfloat16
    torch.testing.assert_close(seen.float(), wanted, atol=0.05, rtol=0)


@torch.no_grad()
def test_chosen_layers_are_joined(folders, frames):
    encoder = vision.video_encoder(str(folders[0] / "clip"), layers=(1, 3), project_dim=5)
    states = encoder.states(frames, (1, 3))[1]
    assert encoder.config.feature_dim == 5 and encoder.project.in_features == 32
    wanted = encoder.project(torch.cat([state[:, :, 0] for state in states], -1))
    torch.testing.assert_close(encoder(frames, normalize=False), wanted)
    with pytest.raises(ValueError, match=r"Layer 11 was asked for; .* has 3"):
        vision.video_encoder(str(folders[0] / "clip"), layers=(11,))


def test_frames_of_a_stretch_see_each_other_and_no_further(folders, frames):
    encoder = vision.video_encoder(str(folders[0] / "x-clip"))
    other = frames.clone()
    other[:, :, 5] = 0
    with torch.no_grad():
        same = (encoder(frames) - encoder(other)).abs().amax((0, 2))
    assert (same[:4] == 0).all() and (same[4:] > 0).all()  # stretches of four frames


def test_missing_weights_are_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(reach, "reachable", lambda address: False)
    with pytest.raises(WeightsError, match=r"vision encoder vivit cannot be had: google/vivit.*weights encoder vivit"):
        vision.video_encoder("vivit")
    with pytest.raises(WeightsError, match="neither a folder"):
        vision.video_encoder(str(tmp_path))
    with pytest.raises(WeightsError, match=r"^There is no vision encoder named clop; there are clip, .* folders\.$"):
        vision.video_encoder("clop")


def test_an_encoder_is_written_as_a_part_that_opens_offline(folders, tmp_path, capsys):
    out = tmp_path / "parts" / "video_encoder"
    command = ["weights", "encoder", str(folders[0] / "clip"), "--out", str(out), "--layers", "3", "--levels", "1", "3"]
    assert main(command) == 0
    assert "16 channels a frame [none stated]" in capsys.readouterr().out
    encoder = HubVideoEncoder.from_pretrained(out)
    assert (tuple(encoder.config.layers), tuple(encoder.config.levels)) == ((3,), (1, 3))
    assert licences.noted(out.parent) == {"video_encoder": "none stated"}
    assert main(command) == 2 and "already there" in capsys.readouterr().err


def test_known_architectures_have_their_published_size():
    sizes = {}
    for name in vision.VISION:
        with torch.device("meta"):
            encoder = vision.untrained(name)
        sizes[name] = (round(sum(p.numel() for p in encoder.parameters()) / 1e6), encoder.config.feature_dim)
    assert sizes == {
        "clip": (88, 512), "clip-b16": (86, 512), "clip4clip": (88, 512), "x-clip": (126, 512), "vivit": (89, 768),
        "v-jepa2": (304, 1024), "efficientnet-lite2": (5, 1280),
    }  # fmt: skip
