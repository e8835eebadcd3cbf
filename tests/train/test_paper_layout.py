"""Every stage at the paper's layout: its timeline, lengths and channels, on rendered and on prepared clips.

The networks are narrow and untrained; what they exchange is of the paper's shapes.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import default_collate
from untrained_parts import untrained_parts

from stav2a import presets
from stav2a.condition.in_time import fitted, stretched
from stav2a.data.prepare import PrepareSettings, Rendered, prepare
from stav2a.models.build import CLASSES, build, build_controlnet
from stav2a.presets import NARROW, TIMELINES, narrow
from stav2a.train.registry import make_stage
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.stage import uniform_for

MODEL = narrow("paper")


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """Parts of the narrow size, and two clips of 10 s as `data prepare --model paper` keeps them."""
    folder = tmp_path_factory.mktemp("paper")
    untrained_parts(folder / "parts", MODEL)
    world = {"duration_s": 10.0, "fps": 4.0, "size": 224, "split": "train"}
    sources = [Rendered(0, "train"), Rendered(1, "val")]
    settings = PrepareSettings(model="paper", parts=str(folder / "parts"), world=world)
    list(prepare(folder / "shards", sources, settings))
    return folder


def stage_of(name: str, work: Path, **options):
    config = TrainConfig.checked(
        {"model": MODEL, "parts": f"{work}/parts", "out": f"{work}/logs", "batch_size": 2, "crop_s": 10.24}
    )
    config.options.update(options)
    torch.manual_seed(0)
    return make_stage(name, config)


@pytest.mark.parametrize("name", ["v2a", "tiva", "alignment"])
def test_a_step_forwards_and_backwards(work, name):
    """On rendered clips, of 41 frames for 40, for stages that stretch them; `test_dry_run.py` has prepared ones."""
    stage = stage_of(name, work).train()
    batch = default_collate([{**stage.sample("train", k), "index": torch.tensor(k)} for k in range(2)])
    loss = stage(batch)["loss"]
    loss.backward()
    assert torch.isfinite(loss)
    learning = stage.phase_parameters("main")
    assert learning and any(p.grad is not None and p.grad.isfinite().all() for p in learning)


@pytest.mark.parametrize(
    "options",
    [{}, {"global_tokens": False}, {"onset": False}, {"onset": False, "global_tokens": False, "freeze_unet": True}],
    ids=["CN+Onset+GVF", "CN+Onset", "GVF", "CN Frozen"],
)
def test_rows_of_table_three_start(work, options):
    """The paper's ControlNet takes 128 channels: the local features alone, never an onset curve."""
    stage = stage_of("v2a", work, shards=f"{work}/shards", heard_clips=1, **options).train()
    seen = {}
    stage.controlnet.register_forward_pre_hook(
        lambda module, args, kwargs: seen.update(control=kwargs["controlnet_cond"]), with_kwargs=True
    )
    batch = default_collate([{**stage.sample("train", k), "index": torch.tensor(k)} for k in range(2)])
    stage(batch)["loss"].backward()
    assert "curve" not in batch and seen["control"].shape == (2, 256, 128)
    if "freeze_unet" in options:  # one listening without onsets
        assert stage.listen(work / "heard").keys() == {"heard_onset_f1", "heard_onset_gain"}


def test_local_features_run_with_the_sound_where_there_is_no_curve(work):
    """Without an onset channel they are the only thing that tells when: none is ever rolled in time."""
    stage = stage_of("v2a", work, shards=f"{work}/shards", drop_video=0.0, drop_picture=0.0, drop_both=0.0).eval()
    seen = []
    stage.controlnet.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["controlnet_cond"]), with_kwargs=True
    )
    chance = uniform_for(range(100), 0, "drop video", 6)
    rolled = [k for k in range(100) if chance[k, 3] < 0.15 and 0.2 < chance[k, 4] < 0.8]  # with an onset channel
    batch = default_collate([{**stage.sample("train", 0), "index": torch.tensor(k)} for k in rolled[:2]])
    stage(batch)
    assert torch.equal(seen[0], stage.encode_batch(batch)["local_features"])


def test_features_become_as_long_as_latents():
    frames = torch.arange(40.0)[None, :, None]
    steps = fitted(stretched(frames, 25 / 4), 256)[0, :, 0]
    assert steps.shape == (256,) and steps[:7].tolist() == [0, 0, 0, 0, 0, 0, 0] and steps[7] == 1
    assert steps[249:].tolist() == [39] * 7
    assert fitted(stretched(torch.arange(41.0)[None, :, None], 25 / 4), 256)[0, -1, 0] == 40
    same = torch.randn(2, 64, 3)
    assert torch.equal(fitted(stretched(same, 1.0), 64), same)


@pytest.mark.parametrize("model", ["paper", "compact"])
def test_a_narrow_size_differs_in_no_length_and_no_width_that_parts_exchange(model):
    assert TIMELINES[narrow(model)] == TIMELINES[model] and narrow("tiny") == "tiny" in NARROW
    for table in (presets.LOCAL_FEATURES, presets.ATTENTIVE_POOL, presets.ONSET_CHANNELS, presets.SCHEDULER):
        assert table[narrow(model)] == table[model]
    with torch.device("meta"):
        full, thin = ({name: build(name, size) for name in CLASSES if name != "controlnet"} for size in
                      (model, narrow(model)))  # fmt: skip
        full["controlnet"], thin["controlnet"] = (
            build_controlnet(parts["unet"], size) for parts, size in ((full, model), (thin, narrow(model)))
        )
    kept = ("feature_dim", "local_dim", "token_dim", "tokens", "in_channels", "out_channels", "cross_attention_dim",
            "conditioning_channels", "latent_channels", "model_in_dim", "steps_per_frame", "tail_steps")  # fmt: skip
    for name in CLASSES:
        for key in kept:
            assert getattr(full[name].config, key, None) == getattr(thin[name].config, key, None), (name, key)
    count = {size: sum(p.numel() for part in parts.values() for p in part.parameters()) for size, parts in
             (("full", full), ("thin", thin))}  # fmt: skip
    assert count["thin"] < count["full"] / 5
    for part in ("unet", "vae"):
        assert len(full[part].config.block_out_channels) == len(thin[part].config.block_out_channels)
