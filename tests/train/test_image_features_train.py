"""Training with tokens of a pretrained image network, and the checkpoint it makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from prepared import prepared
from torch.utils.data import default_collate
from untrained_parts import untrained_parts

from stav2a.condition.image_features import network, shared_network
from stav2a.condition.image_features.pool import ImagePooling
from stav2a.data.foleyworld.cache import write_cache
from stav2a.data.prepare import PrepareSettings, Rendered, prepare
from stav2a.models.build import build_image_pool
from stav2a.pipeline import STAV2APipeline
from stav2a.presets import ATTENTIVE_POOL
from stav2a.train.registry import make_stage
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.loop import train
from stav2a.train.runtime.parts import assemble, trained

CONFIGS = Path(__file__).parents[2] / "configs"
SOURCES = ("rendered", "cached", "prepared")

pytestmark = pytest.mark.skipif(network.unavailable() is not None, reason=str(network.unavailable()))


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """Untrained tiny parts, and clips rendered beforehand and prepared."""
    folder = tmp_path_factory.mktemp("work")
    untrained_parts(folder / "parts")
    world = {"duration_s": 1.28, "fps": 25.0, "size": 32, "split": "train"}
    list(write_cache(folder / "cached", {**world, "seed": 0, "scenes": None}, 3))
    settings = PrepareSettings(model="tiny", world=world)
    list(prepare(folder / "prepared", [Rendered(k, "val" if k == 2 else "train") for k in range(3)], settings))
    return folder


def stage_of(work: Path, source: str, **options):
    words = [f"parts={work}/parts", f"out={work}/logs", "crop_s=1.28"]
    words += {"cached": [f"options.cache={work}/cached"], "prepared": [f"options.shards={work}/prepared"]}.get(
        source, []
    )
    config = TrainConfig.load(CONFIGS / "tiny" / "v2a.yaml", words)
    config.options.update({"image_features": "lite2", **options})
    torch.manual_seed(0)
    return make_stage("v2a", config)


def batch_of(stage, count: int = 2) -> dict:
    return default_collate([{**stage.sample("train", k), "index": torch.tensor(k)} for k in range(count)])


@pytest.mark.parametrize("source", SOURCES)
def test_the_image_tokens_join_the_others_and_learn(work, source):
    stage = stage_of(work, source).train()
    batch = batch_of(stage)
    assert ("image_features" in batch) == (source != "rendered")  # what is stored is encoded once
    found = stage.global_tokens(stage.encode_batch(batch))
    sizes = ATTENTIVE_POOL["tiny"]
    assert [tokens.shape for tokens in found] == [(2, sizes["tokens"], sizes["token_dim"])] * 2
    stage(batch)["loss"].backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in stage.image_pool.parameters())


def test_stored_features_are_those_of_the_pictures(work):
    stage = stage_of(work, "cached")
    world = stage.worlds["train"]
    for index in range(3):
        plan = world.plan(index)
        rows = network.frame_rows(world.frames_wanted, world.fps, stage.image_pool.config.frames_per_s)
        pictures = torch.from_numpy(np.array(world.frames(index, plan)))[rows]
        wanted = shared_network("lite2").encode(pictures).features
        assert torch.allclose(stage.image_features["train"](plan), wanted, atol=0.01)  # kept as fp16


def test_features_are_kept(work, monkeypatch):
    stage_of(work, "cached")
    monkeypatch.setattr(
        "stav2a.train.sources.image_features.shared_network", lambda name: pytest.fail("it is computed again")
    )
    stage_of(work, "cached")


def test_image_tokens_and_picture_are_dropped_each_on_its_own_and_together(work):
    stage = stage_of(work, "cached", drop_video=0.4, drop_picture=0.2).eval()
    seen = []
    stage.loss = lambda latents, conditions, *_: seen.append(conditions.global_tokens) or latents.sum()
    one = stage.sample("train", 0)
    stage(default_collate([{**one, "index": torch.tensor(k)} for k in range(200)]))
    tokens = ATTENTIVE_POOL["tiny"]["tokens"]
    there = [(part.abs().sum((1, 2)) > 0) for part in (seen[0][:, :tokens], seen[0][:, tokens:])]
    shares = [float(((there[0] == a) & (there[1] == b)).float().mean()) for a in (True, False) for b in (True, False)]
    assert all(share > 0.1 for share in shares) and sum(shares) == pytest.approx(1)


def test_from_training_to_a_checkpoint_with_image_tokens(work, tmp_path):
    stage = stage_of(work, "cached")
    train(stage, stage.config)
    assert isinstance(trained(work / "parts", "image_pool"), ImagePooling)
    pipe = STAV2APipeline.from_pretrained(assemble(work / "parts", "tiny", tmp_path / "model"))
    pipe.set_progress_bar_config(disable=True)
    frames = np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3), np.uint8)
    seen = pipe.encode_video(frames)
    assert seen.image_features.shape == (1, 1, network.FEATURE_DIM)
    tokens = ATTENTIVE_POOL["tiny"]["tokens"]
    assert prepared(pipe, seen, "a tone").conditions.global_tokens.shape[1] == 2 * tokens
    with_images = pipe(frames, "a tone", num_inference_steps=1).waveforms
    again = STAV2APipeline.from_pretrained(tmp_path / "model", image_pool=None)
    again.set_progress_bar_config(disable=True)
    assert again.encode_video(frames).image_features is None
    assert not np.array_equal(again(frames, "a tone", num_inference_steps=1).waveforms, with_images)


def test_a_model_without_image_pooling_needs_no_image_network(tiny_pipeline, monkeypatch):
    monkeypatch.setattr(
        "stav2a.condition.image_features.shared_network", lambda *_: pytest.fail("the network is loaded")
    )
    assert tiny_pipeline.encode_video(np.zeros((8, 32, 32, 3), np.uint8)).image_features is None


def test_unknown_networks_are_named(work):
    with pytest.raises(ValueError, match="lite0, lite1, lite2"):
        build_image_pool("tiny", "lite9")
    with pytest.raises(ValueError, match="global_tokens=false"):
        stage_of(work, "cached", global_tokens=False)


def test_the_configuration_for_compact_asks_for_the_packages_network():
    config = TrainConfig.load(CONFIGS / "compact" / "v2a-image-features.yaml")
    assert config.model == "compact" and config.options["image_features"] == network.DEFAULT
