"""The model's parts: stored numbers, shapes, and what each promises about time, padding and silence."""

from __future__ import annotations

import json

import numpy as np
import pytest
import regression
import torch
from diffusers import UNet2DConditionModel

from stav2a import presets
from stav2a.condition import text
from stav2a.condition.attentive_pool import AttentivePooling
from stav2a.condition.cavp import CAVPVideoEncoder, TemporalBlock, max_pooled, with_differences
from stav2a.condition.onset import LocalFeatures, onset_curve, pick_onsets
from stav2a.denoise.control import TemporalControlNet
from stav2a.sound import channels_last
from stav2a.sound.vocoder import build_vocoder, vocode, with_noise
from stav2a.weights.stored import folded, halved

STEP = 0.04


@pytest.fixture(scope="module")
def outputs():
    return regression.outputs()


@pytest.mark.parametrize("name", json.loads(regression.STORE.read_text()))
def test_numbers_stay(outputs, name):
    stored, now = json.loads(regression.STORE.read_text())[name], regression.summary(outputs[name])
    assert now["shape"] == stored["shape"]
    for key in ("mean", "std", "picked"):
        np.testing.assert_allclose(now[key], stored[key], rtol=1e-4, atol=2e-5)


def test_every_output_has_stored_numbers(outputs):
    assert set(outputs) == set(json.loads(regression.STORE.read_text()))


# ---- video encoder -------------------------------------------------------------------------------------------


def test_features_are_unit_vectors_one_a_frame():
    encoder = CAVPVideoEncoder(**presets.VIDEO_ENCODER["tiny"]).eval()
    features = encoder(torch.rand(2, 3, 5, 32, 32))
    assert features.shape == (2, 5, 16)
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(2, 5))


def test_a_far_frame_changes_nothing():
    encoder = CAVPVideoEncoder(**presets.VIDEO_ENCODER["tiny"]).eval()
    frames = torch.rand(1, 3, 30, 32, 32)
    changed = frames.clone()
    changed[:, :, -1] = 0
    one, other = encoder(frames), encoder(changed)
    assert torch.equal(one[:, :15], other[:, :15]) and not torch.equal(one[:, -2], other[:, -2])


def test_temporal_blocks_change_nothing_at_first_and_then_see_far():
    sizes = presets.VIDEO_ENCODER["tiny"]
    plain = CAVPVideoEncoder(**sizes).eval()
    grown = CAVPVideoEncoder(**sizes, temporal_dilations=(2, 8)).eval()
    missing, unexpected = grown.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected and missing and all(name.startswith("temporal.") for name in missing)
    frames = torch.rand(1, 3, 30, 32, 32)
    changed = frames.clone()
    changed[:, :, -1] = 0
    torch.testing.assert_close(grown(frames), plain(frames))
    for block in grown.temporal:
        torch.nn.init.normal_(block.conv2.weight)
    one, other = grown(frames), grown(changed)
    assert torch.equal(one[:, :9], other[:, :9])  # 10 steps further than the convolutions on pictures
    assert not torch.equal(one[:, 15], other[:, 15])


def test_spatial_peaks_change_nothing_at_first_and_then_are_added_to_the_mean():
    sizes = presets.VIDEO_ENCODER["tiny"]
    plain = CAVPVideoEncoder(**sizes).eval()
    grown = CAVPVideoEncoder(**sizes, spatial_peaks=True).eval()
    missing, unexpected = grown.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected and missing and all(name.startswith("peaks.") for name in missing)
    frames = torch.rand(1, 3, 6, 64, 64)
    torch.testing.assert_close(grown(frames), plain(frames))
    mean, peaks = plain.video_encoder(with_differences(frames), peaks=True)
    assert peaks.shape == (1, grown.peaks.project.in_channels, 6)
    assert torch.equal(mean, plain.video_encoder(with_differences(frames))[0])
    torch.nn.init.normal_(grown.peaks.project.weight)
    assert not torch.allclose(grown(frames), plain(frames), atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pooling_frame_by_frame_is_pooling_in_three_dimensions(dtype):
    x = torch.randn(2, 3, 5, 12, 14, dtype=dtype).contiguous(memory_format=torch.channels_last_3d)
    expected = torch.nn.functional.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    assert torch.equal(max_pooled(x, 3, 2, 1), expected)
    assert torch.equal(max_pooled(x, (12, 14), (12, 14))[..., 0, 0], x.amax((3, 4)))


def test_compact_video_encoder_stays_cheap():
    from torch.utils.flop_counter import FlopCounterMode

    encoder = CAVPVideoEncoder(**presets.VIDEO_ENCODER["compact"]).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        encoder(torch.rand(1, 3, 8, 96, 96))
    assert counter.get_total_flops() / 8 < 120e6


# ---- local features and onsets -------------------------------------------------------------------------------


@pytest.mark.parametrize("frames, steps", [(40, 256), (16, 106), (1, 12)])
def test_paper_frames_are_laid_on_latent_steps(frames, steps):
    local, logits = LocalFeatures(**presets.LOCAL_FEATURES["paper"])(torch.randn(2, frames, 512))
    assert local.shape == (2, steps, 128) and logits.shape == (2, steps, 2)


@pytest.mark.parametrize("frames", [1, 7, 256, 300])
def test_compact_has_one_step_a_frame(frames):
    local, logits = LocalFeatures(**presets.LOCAL_FEATURES["compact"])(torch.randn(1, frames, 256))
    assert local.shape == (1, frames, 128) and logits.shape == (1, frames, 2)


def test_onsets_survive_the_curve_exactly():
    onsets_s = [0.0201, 0.313, 0.915, 1.4587, 2.405]
    curve = onset_curve(onsets_s, 64, STEP)
    assert curve.dtype == np.float32 and curve.sum() == pytest.approx(5, abs=1e-5) and curve.max() <= 1
    assert pick_onsets(curve, STEP, threshold=0.4) == pytest.approx(onsets_s, abs=1e-5)


def test_onsets_at_the_ends_keep_their_weight():
    assert onset_curve([0.0], 4, STEP).tolist() == [1, 0, 0, 0]
    assert onset_curve([4 * STEP], 4, STEP).tolist() == [0, 0, 0, 1]
    assert not onset_curve([-0.1, 4 * STEP + 0.1], 4, STEP).any()


def test_peaks_need_height_and_distance():
    curve = np.zeros(20)
    curve[[4, 5, 12]] = [0.9, 0.3, 0.2]
    assert pick_onsets(curve, STEP, threshold=0.5) == pytest.approx([(4.5 + 0.25) * STEP])
    curve[6] = 0.8
    assert len(pick_onsets(curve, STEP, threshold=0.25, min_gap_s=0.12)) == 1
    assert len(pick_onsets(curve, STEP, threshold=0.25, min_gap_s=0.04)) == 2
    assert pick_onsets(np.zeros(0), STEP) == [] == pick_onsets(np.full(5, np.nan), STEP)


# ---- global tokens -------------------------------------------------------------------------------------------


def test_pooling_is_the_same_twice_in_evaluation_and_random_in_training():
    pool, features = AttentivePooling(**presets.ATTENTIVE_POOL["tiny"]), torch.randn(1, 9, 16)
    pool.eval()
    assert torch.equal(pool(features), pool(features)) and pool(features).shape == (1, 4, 32)
    pool.fga.un_models[0].dropout = 0.5
    pool.train()
    assert not torch.equal(pool(features), pool(features))


def test_pooling_ignores_the_order_of_frames():
    pool, features = AttentivePooling(**presets.ATTENTIVE_POOL["tiny"]).eval(), torch.randn(1, 9, 16)
    torch.testing.assert_close(pool(features), pool(features.flip(1)))


# ---- ControlNet ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def control():
    from golden import fill

    unet = UNet2DConditionModel(**presets.UNET["tiny"])
    return fill(TemporalControlNet.from_unet(unet, conditioning_channels=17))


def residuals(control, context, mask):
    inputs = regression.randn(1, 1, 8, 8, 16), 500, context, regression.randn(2, 1, 8, 17)
    pooled = context[:, :3].mean(1)  # the caption's three tokens
    with torch.no_grad():
        down, mid = control(*inputs, encoder_attention_mask=mask, class_labels=pooled, return_dict=False)
    return torch.cat([r.flatten() for r in (*down, mid)])


def test_masked_padding_changes_no_residual(control):
    context = regression.randn(3, 1, 3, 32)
    padded = torch.cat([context, regression.randn(4, 1, 4, 32)], dim=1)
    plain = residuals(control, context, torch.ones(1, 3))
    mask = torch.tensor([[1, 1, 1, 0, 0, 0, 0]])
    torch.testing.assert_close(residuals(control, padded, mask), plain, rtol=1e-4, atol=1e-4)
    assert (residuals(control, padded, None) - plain).abs().max() > 1e-2  # what the authors' code does
    torch.testing.assert_close(residuals(control, context, None), plain)  # and no mask is left behind


def test_control_round_trip(control, tmp_path):
    control.save_pretrained(tmp_path)
    again = TemporalControlNet.from_pretrained(tmp_path)
    assert again.config.conditioning_channels == 17
    assert all(torch.equal(a, b) for a, b in zip(control.parameters(), again.parameters(), strict=True))


def test_control_acts_where_it_stands(control):
    embedding = control.controlnet_cond_embedding
    silent = torch.zeros(1, 17, 16, 4)
    hit = silent.clone()
    hit[:, :, 8] = 1
    difference = (embedding(hit) - embedding(silent)).abs().amax((0, 1, 3))
    assert (difference > 0).nonzero().flatten().tolist() == [7, 8, 9]


def test_weights_stay_within_what_fp16_holds():
    torch.manual_seed(0)
    encoder = torch.nn.Sequential(TemporalBlock(8, 2)).eval()
    block, x = encoder[0], 300 * torch.randn(2, 8, 40)
    torch.nn.init.normal_(block.conv2.weight)
    block.bn.running_var.copy_(torch.tensor([1.0, 20_000.0, 100_000.0, 3e6]))
    block.bn.running_mean.copy_(torch.tensor([0.1, 50.0, -300.0, 900.0]))
    with torch.no_grad():
        before = encoder(x)
        torch.testing.assert_close(folded(encoder)(x), before, rtol=1e-5, atol=1e-4)
        stored = halved(encoder, "video_encoder")
        assert stored[0].bn.running_var.max() <= 2**14
        torch.testing.assert_close(stored.float()(x), before, rtol=1e-2, atol=1)
        assert block.bn.running_var.max() == 3e6, "the part itself stays as it was"
    encoder[0].conv2.bias.data[3] = 1e6
    with pytest.raises(ValueError, match=r"video_encoder.*conv2\.bias"):
        halved(encoder, "video_encoder")


# ---- vocoder and text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tiny", "compact"])
def test_vocoder_with_channels_innermost_is_the_same_network(name):
    torch.manual_seed(0)
    vocoder = build_vocoder(name).eval()
    mel = with_noise(vocoder, torch.randn(2, 37, 64))
    own = vocoder(mel)[:, : mel.shape[1] * 160]
    with torch.no_grad():
        heard = vocode(vocoder, mel)
    assert own.requires_grad and not heard.requires_grad
    torch.testing.assert_close(heard, own.detach(), atol=1e-5, rtol=1e-4)
    vocoder, mel = vocoder.double(), mel[:, :9].double()
    gradients = []
    for forward in (vocoder, lambda mel: channels_last.forward(vocoder, mel)):
        vocoder.zero_grad()
        forward(mel).square().sum().backward()
        gradients.append([p.grad.clone() for p in vocoder.parameters()])
    for plain, rearranged in zip(*gradients, strict=True):
        torch.testing.assert_close(rearranged, plain, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", ["compact", "tiny"])
def test_vocoder_gives_a_hop_a_frame(name):
    with torch.no_grad():
        assert vocode(build_vocoder(name).eval(), torch.randn(1, 5, 64)).shape == (1, 800)


def test_captions_are_padded_and_masked():
    tokenizer, encoder = text.load_minilm()
    tokens, mask = text.encode(tokenizer, encoder, ["", "a big dog"])
    assert tokens.shape == (2, 5, 384) and mask.tolist() == [[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]]
    alone, _ = text.encode(tokenizer, encoder, [""])
    torch.testing.assert_close(tokens[:1, :2], alone, rtol=1e-4, atol=1e-4)
    assert text.encode(tokenizer, encoder, ["word " * 500])[0].shape[1] == text.MAX_TOKENS


def test_parts_round_trip(tmp_path):
    for part, config in (
        (CAVPVideoEncoder, presets.VIDEO_ENCODER["tiny"]),
        (LocalFeatures, presets.LOCAL_FEATURES["tiny"]),
        (AttentivePooling, presets.ATTENTIVE_POOL["tiny"]),
    ):
        model = part(**config)
        model.save_pretrained(tmp_path / part.__name__)
        again = part.from_pretrained(tmp_path / part.__name__)
        for name, value in model.state_dict().items():
            assert torch.equal(value, again.state_dict()[name]), name


def test_the_pooled_caption_leaves_padding_out_and_reaches_the_unet():
    from diffusers import UNet2DConditionModel

    from stav2a import presets
    from stav2a.denoise.conditions import Conditions
    from stav2a.denoise.sample import Guidance, predict

    tokens, mask = regression.randn(1, 2, 5, 32), torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)
    conditions = Conditions(tokens, mask, tokens, mask)
    torch.testing.assert_close(conditions.pooled_text()[0], tokens[0, :3].mean(0))
    torch.testing.assert_close(conditions.pooled_text()[1], tokens[1].mean(0))

    unet = UNet2DConditionModel(**presets.UNET["tiny"]).eval()
    latents = regression.randn(2, 2, 8, 8, 16)
    with torch.no_grad():
        plain = predict(unet, None, latents, 500, conditions, Guidance())
        unet.class_embedding.linear_2.bias += 1
        assert not torch.equal(predict(unet, None, latents, 500, conditions, Guidance()), plain)
