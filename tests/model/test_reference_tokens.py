"""Reference tokens: masked they are not there, in guidance they go with the caption, in sampling with recordings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from debug_model import tiny
from knocks import RATE
from prepared import prepared

from stav2a.denoise.conditions import Conditions, concatenated
from stav2a.denoise.sample import Guidance, predict
from stav2a.models.build import build_reference_pool
from stav2a.pipeline import STAV2APipeline
from stav2a.presets import ATTENTIVE_POOL, UNET
from stav2a.recordings.shelf import SHELF

TOKENS, WIDTH = ATTENTIVE_POOL["tiny"]["tokens"], UNET["tiny"]["cross_attention_dim"]
SCALE = 20.0  # of the weights: tokens of an untrained pooling change too little to be heard
ROUNDING = {"rtol": 0.0, "atol": 1e-5}  # processors add up rows of other lengths in another order
needs_shelf = pytest.mark.skipif(not (SHELF / "index.csv").is_file(), reason="the shelf is not here")


@pytest.fixture(scope="module")
def referring() -> STAV2APipeline:
    """The tiny model with a reference pooling."""
    pipe = tiny()
    pipe.set_progress_bar_config(disable=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        pool = build_reference_pool("tiny").eval()
    torch.nn.init.normal_(pool.pool.conv.weight, std=SCALE, generator=torch.Generator().manual_seed(2))
    pipe.register_modules(reference_pool=pool)
    return pipe


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def bell():
    return (np.sin(np.arange(RATE) * 0.9) * np.exp(-np.arange(RATE) / 4000)).astype(np.float32)


def tokens_of(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, TOKENS, WIDTH, generator=torch.Generator().manual_seed(seed))


def prediction(pipe, conditions: Conditions, guidance: Guidance | None = None) -> torch.Tensor:
    length = conditions.local_features.shape[1]
    latents = torch.randn(len(conditions), 8, length, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        guidance = guidance or Guidance(1.0)
        return predict(pipe.unet, pipe.controlnet, latents, torch.tensor(500), conditions, guidance)


@pytest.mark.parametrize("frames_long", [64, 200])
def test_pooling_gives_tokens_that_hardly_depend_on_the_time(frames_long):
    torch.manual_seed(0)
    pool = build_reference_pool("tiny").eval()
    latents = torch.randn(2, 8, frames_long, 16)
    with torch.no_grad():
        tokens, rolled = pool(latents), pool(latents.roll(17, 2))
    assert tokens.shape == (2, TOKENS, WIDTH)
    assert (tokens - rolled).abs().max() < 0.2 * tokens.std()
    assert (tokens[0] - tokens[1]).abs().max() > (tokens - rolled).abs().max()


@pytest.mark.parametrize("mask_control", [True, False])
@pytest.mark.parametrize("prompt", ["", "a dog barks", "a wooden spoon hits the rim of a metal pot again and again"])
def test_a_masked_reference_is_none(tiny_pipeline, frames, prompt, mask_control):
    plain = prepared(tiny_pipeline, frames, prompt).conditions.repeat(2)
    guidance = Guidance(1.0, mask_control=mask_control)
    without = prediction(tiny_pipeline, plain, guidance)
    masked = plain.with_reference(tokens_of(2), torch.zeros(2, dtype=torch.bool))
    torch.testing.assert_close(prediction(tiny_pipeline, masked, guidance), without, **ROUNDING)
    half = plain.with_reference(tokens_of(2), torch.tensor([False, True]))
    mixed = prediction(tiny_pipeline, half, guidance)
    torch.testing.assert_close(mixed[0], without[0], **ROUNDING)
    assert not torch.allclose(mixed[1], without[1], atol=1e-4)


def test_the_control_net_does_not_see_the_reference(tiny_pipeline, frames, monkeypatch):
    plain = prepared(tiny_pipeline, frames, "a dog barks").conditions
    seen = []
    control, call = tiny_pipeline.controlnet, tiny_pipeline.controlnet.forward
    monkeypatch.setattr(control, "forward", lambda *a, **k: seen.append(k["encoder_hidden_states"]) or call(*a, **k))
    for conditions in (plain, plain.with_reference(tokens_of(1))):
        prediction(tiny_pipeline, conditions)
    assert torch.equal(*seen)


def test_the_reference_goes_with_the_caption(tiny_pipeline, frames):
    plain = prepared(tiny_pipeline, frames, "a dog barks", "rain").conditions
    told = plain.with_reference(tokens_of(1))
    assert told.context_mask()[:, -TOKENS:].all() and told.null_video().has_reference.all()
    assert not told.null_text().has_reference.any() and not told.without_text().has_reference.any()
    assert not told.null_text().context_mask()[:, -TOKENS:].any()
    assert torch.equal(told.null_text().text_tokens, plain.null_text_tokens)  # the negative caption stays
    bare = prediction(tiny_pipeline, plain.null_text())
    torch.testing.assert_close(prediction(tiny_pipeline, told.null_text()), bare, **ROUNDING)
    for guidance in (Guidance(3.0), Guidance(3.0, 2.0), Guidance(3.0, 3.0)):
        *without, full = guidance.branches(told)
        assert full.has_reference.all() and not any(branch.has_reference.any() for branch in without)
        assert guidance.branches(plain)[0].has_reference is None


def test_batches_windows_and_types_keep_the_reference(tiny_pipeline, frames):
    parts = [prepared(tiny_pipeline, frames, prompt).conditions for prompt in ("rain", "a dog barks in the rain")]
    told = [part.with_reference(tokens_of(1, seed)) for seed, part in enumerate(parts)]
    whole = concatenated([told[0].repeat(2), told[1].without_reference()])
    assert torch.equal(whole.reference_tokens, torch.cat([tokens_of(1, 0)] * 2 + [tokens_of(1, 1)]))
    assert whole.has_reference.tolist() == [True, True, False]
    assert torch.equal(whole.window(8, 16).reference_tokens, whole.reference_tokens)
    half = whole.to("cpu", torch.float16)
    assert half.reference_tokens.dtype == torch.float16 and half.has_reference.dtype == torch.bool
    assert half.context().dtype == torch.float16
    assert told[0].shape_key() != parts[0].shape_key()


@needs_shelf
def test_recordings_steer_the_sound_where_they_are_used(referring, frames, bell):
    """Below a strength of 1, and at 1 a reference sound; every take has tokens of its own recording."""

    def sound(pipe, **dials):
        return pipe(frames, "a dog barks", num_inference_steps=2, **dials).waveforms

    config = {name: referring.config[name] for name in ("timeline", "defaults")}
    bare = STAV2APipeline(**{**referring.components, "reference_pool": None}, **config)
    bare.set_progress_bar_config(disable=True)
    np.testing.assert_array_equal(sound(referring, strength=1.0), sound(bare, strength=1.0))
    np.testing.assert_array_equal(sound(bare, strength=1.0, reference=bell), sound(bare, strength=1.0))
    for dials in ({"strength": 0.9}, {"strength": 1.0, "reference": bell}, {"reference": bell}):
        steered = sound(referring, **dials)
        assert np.isfinite(steered).all() and not np.allclose(steered, sound(bare, **dials), atol=1e-5)
    takes = sound(referring, strength=0.9, takes=2, seed=3)
    alone = sound(referring, strength=0.9, seed=4)
    np.testing.assert_allclose(takes[1], alone[0], atol=1e-4)


@needs_shelf
def test_latents_of_the_start_give_the_tokens(referring, frames, monkeypatch):
    made = prepared(referring, frames, "a dog barks", strength=0.9, steps=1, takes=2)
    seen = []
    monkeypatch.setattr("stav2a.pipeline.latents.denoise", lambda *a, **k: seen.append(a) or iter([]))
    assert list(referring.denoise([made])) == []
    conditions, start = seen[0][4], seen[0][11]
    with torch.no_grad():
        wanted = torch.cat([referring.reference_pool(take[None]) for take in start])
    assert torch.equal(conditions.reference_tokens, wanted) and conditions.has_reference.tolist() == [True, True]


@needs_shelf
def test_requests_with_and_without_a_reference_do_not_share_a_pass(referring, frames, bell):
    plain = prepared(referring, frames, "a dog barks", strength=1.0)
    assert plain.recording is None
    told = replace(plain, recording=referring.place_recordings(plain.video, "", plain.request.dials, bell))
    assert plain.pass_key() != told.pass_key()


def test_checkpoints_keep_the_pooling_and_older_ones_have_none(referring, tiny_pipeline, tmp_path):
    referring.save_pretrained(tmp_path / "with")
    again = STAV2APipeline.from_pretrained(tmp_path / "with")
    own = referring.reference_pool.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in again.reference_pool.state_dict().items())
    assert again.reference_pool.config.latent_dim == 8 * 16
    assert "`reference_pool` | ReferencePooling" in (tmp_path / "with" / "README.md").read_text(encoding="utf-8")
    assert STAV2APipeline.from_pretrained(tmp_path / "with", reference_pool=None).reference_pool is None
    tiny_pipeline.save_pretrained(tmp_path / "without")
    index = tmp_path / "without" / "model_index.json"
    text = index.read_text(encoding="utf-8")
    index.write_text(text.replace('"reference_pool"', '"of_no_name"'), encoding="utf-8")  # as older files are
    assert '"of_no_name"' in index.read_text(encoding="utf-8")
    assert STAV2APipeline.from_pretrained(tmp_path / "without").reference_pool is None
