"""Training from clips rendered beforehand: their order, their features, and the vocoder's two phases."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from parallel_training import in_two_processes, see_clips
from tone_bank import write_bank

from stav2a.data.foleyworld.cache import write_cache
from stav2a.models.build import build
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.parts import note_default, noted_defaults, trained
from stav2a.train.sources.clips import CachedClips, resized_crop, side_by_side, varied
from stav2a.train.sources.features import ClipFeatures, digest
from stav2a.train.stages.onset import OnsetStage

CLIP_S, CROP_S = 1.28, 0.64


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Five rendered clips with modal sounds."""
    folder = tmp_path_factory.mktemp("world")
    options = {
        "bank": None, "sprites": None, "split": "train", "seed": 3, "duration_s": CLIP_S, "fps": 25.0, "size": 32,
        "held_out_captions": False, "scenes": None,
    }  # fmt: skip
    assert sum(write_cache(folder, options, 5, per_shard=2)) == 5
    return folder


def settings(tmp_path, **changes) -> TrainConfig:
    base = {"model": "tiny", "parts": str(tmp_path / "parts"), "out": str(tmp_path), "batch_size": 2, "crop_s": CROP_S}
    return TrainConfig.checked({**base, **changes})


def test_each_pass_takes_every_clip_once_in_another_order(cache):
    clips = CachedClips(cache, CROP_S, seed=0)
    first, second = ([clips.place(turn * 5 + k)[0] for k in range(5)] for turn in (0, 1))
    assert sorted(first) == sorted(second) == [0, 1, 2, 3, 4]
    assert first != second or [clips.place(10 + k)[0] for k in range(5)] != first
    assert [clips.place(k) for k in range(5)] == [CachedClips(cache, CROP_S, seed=0).place(k) for k in range(5)]


def test_a_stretch_has_its_own_frames_and_onsets(cache):
    clips = CachedClips(cache, CROP_S, seed=0)
    for index in range(20):
        clip, first, _ = clips.place(index)
        plan = clips.plan(index)
        assert (plan.clip, plan.first) == (clip, first)
        assert np.array_equal(clips.frames(index, plan), clips.world[clip].frames[first : first + 16])
        start = first / 25
        whole = [t for t in clips.world[clip].onsets_s if start <= t < start + CROP_S]
        assert plan.score.onsets_s == pytest.approx([t - start for t in whole])


def test_a_longer_training_than_the_clips_is_refused(cache):
    with pytest.raises(ValueError, match=r"shorter than 2.56 s"):
        CachedClips(cache, 2.56, 0)


def test_other_light_keeps_the_happening():
    frames = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3), np.uint8)
    lit = [varied(frames, np.random.default_rng(seed)) for seed in range(6)]
    assert all(one.shape == frames.shape and one.dtype == np.uint8 for one in lit)
    assert np.array_equal(lit[0], varied(frames, np.random.default_rng(0)))
    # the order of brightness within a channel stays, mirrored or not
    for one in lit:
        plain = one if _same_order(one, frames) else one[:, :, ::-1]
        assert _same_order(plain, frames)


def test_two_clips_share_a_picture():
    dark, bright = np.full((5, 20, 30, 3), 10, np.uint8), np.full((5, 20, 30, 3), 200, np.uint8)
    layouts = set()
    for seed in range(20):
        both = side_by_side(dark, bright, np.random.default_rng(seed))
        assert both.shape == dark.shape and both.dtype == np.uint8
        assert set(np.unique(both)) == {10, 200}
        assert 0.3 < (both == 10).mean() < 0.7
        assert np.array_equal(both, side_by_side(dark, bright, np.random.default_rng(seed)))
        layouts.add(("above" if len(set(both[0, :, 0, 0])) == 2 else "beside", int(both[0, 0, 0, 0])))
    assert layouts == {("above", 10), ("above", 200), ("beside", 10), ("beside", 200)}
    ramp = np.tile(np.arange(30, dtype=np.uint8)[:, None] * 8, (5, 20, 1, 3))
    for seed in range(6):  # an end of a clip may be cut off, its middle never is
        both = side_by_side(ramp, ramp, np.random.default_rng(seed)).astype(int)
        assert both.min() <= 0.3 * 240 and both.max() >= 0.65 * 240


def test_a_crop_is_one_window_of_all_frames():
    across = np.tile(np.arange(40, dtype=np.uint8)[:, None] * 6, (4, 30, 1, 3))  # 30 high, 40 wide
    first, widths = set(), []
    for seed in range(20):
        seen = resized_crop(across, 24, 0.75, np.random.default_rng(seed)).astype(int)
        assert seen.shape == (4, 24, 24, 3)
        assert np.abs(seen - seen[:1, :1]).max() <= 1, "the same columns in every row and frame"
        columns = seen[0, 0, :, 0] / 6
        assert (np.diff(columns) > 0).all()
        first.add(round(columns[0]))
        widths.append((columns[-1] - columns[0]) / 23 * 24 / 40)
    assert len(first) > 4 and min(widths) < 0.85 and max(widths) > 0.93
    assert min(widths) > 0.72 and max(widths) < 1.03
    assert np.array_equal(resized_crop(across, 40, 1.0, np.random.default_rng(0))[0, 0], across[0, 0])


def test_cropped_clips_are_as_large_as_the_models_pictures(cache, tmp_path):
    alone = OnsetStage(settings(tmp_path, options={"cache": str(cache)}))
    cropped = OnsetStage(settings(tmp_path, options={"cache": str(cache), "least_crop": 0.8}))
    one, two = alone.sample("train", 0), cropped.sample("train", 0)
    assert two["frames"].shape[1:3] == (cropped.timeline.frame_size,) * 2
    assert torch.equal(one["labels"], two["labels"]) and not torch.equal(one["frames"], two["frames"])
    assert torch.equal(alone.sample("val", 3)["frames"], cropped.sample("val", 3)["frames"])
    with pytest.raises(ValueError, match=r"least_crop is 0"):
        OnsetStage(settings(tmp_path, options={"cache": str(cache), "least_crop": 0}))


def test_onsets_of_clips_beside_each_other_count_both(cache, tmp_path):
    alone = OnsetStage(settings(tmp_path, options={"cache": str(cache)}))
    beside = OnsetStage(settings(tmp_path, options={"cache": str(cache), "beside": 1.0}))
    more = 0
    for index in range(12):
        one, two = alone.sample("train", index), beside.sample("train", index)
        assert one["frames"].shape == two["frames"].shape
        assert (two["labels"] >= one["labels"]).all()
        more += float(two["labels"].sum() - one["labels"].sum())
    assert more > 0
    assert torch.equal(alone.sample("val", 3)["frames"], beside.sample("val", 3)["frames"])
    with pytest.raises(ValueError, match=r"beside is 1\.5"):
        OnsetStage(settings(tmp_path, options={"cache": str(cache), "beside": 1.5}))


def _same_order(a: np.ndarray, b: np.ndarray) -> bool:
    order = b[0, ..., 0].ravel().argsort()
    return bool((np.diff(a[0, ..., 0].ravel()[order].astype(int)) >= 0).all())


def test_features_are_those_of_the_parts_and_made_once(cache):
    clips = CachedClips(cache, CROP_S, seed=0)
    encoder, local = build("video_encoder", "tiny").eval(), build("local_features", "tiny").eval()
    found = ClipFeatures(clips, encoder, local)
    frames = torch.from_numpy(np.array(clips.world[2].frames)).permute(3, 0, 1, 2)[None].float() / 255
    with torch.no_grad():
        cavp = encoder(frames)
        wanted = local(cavp)[0][0, 4:12]
    got_cavp, got_local = found(2, 4, 8)
    torch.testing.assert_close(got_cavp, cavp[0, 4:12], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(got_local, wanted, atol=1e-3, rtol=1e-3)

    folder = next(cache.glob("features-*"))
    stamp = (folder / "local.npy").stat().st_mtime_ns
    ClipFeatures(clips, encoder, local)
    assert (folder / "local.npy").stat().st_mtime_ns == stamp
    with torch.no_grad():
        encoder.video_project_head.bias += 1
    assert f"features-{digest(encoder, local)}" != folder.name  # other weights, other features


def test_v2a_hears_the_stretch_that_it_sees(cache, tmp_path):
    from stav2a.train.stages.diffusion import V2AStage

    for name in ("video_encoder", "local_features", "vae", "unet"):
        build(name, "tiny").save_pretrained(tmp_path / "parts" / name)
    stage = V2AStage(settings(tmp_path, options={"cache": str(cache)}))
    clips = stage.worlds["train"]
    clip, first, turn = clips.place(3)
    sample = stage.sample("train", 3)
    whole = clips.live_world.sound(clip, variant=turn + 1).waveform
    assert np.array_equal(sample["waveform"], whole[first * 640 : (first + 16) * 640])
    assert sample["cavp_features"].shape[0] == sample["local_features"].shape[0] == 16
    batch = torch.utils.data.default_collate([{**stage.sample("train", k), "index": torch.tensor(k)} for k in range(2)])
    loss = stage(batch)["loss"]
    loss.backward()
    assert stage.controlnet.controlnet_cond_embedding.conv_out.weight.grad is not None
    assert all(p.grad is None for p in stage.video_encoder.parameters())


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    return write_bank(tmp_path_factory.mktemp("tones"))


def test_the_vocoder_learns_and_each_phase_trains_its_own(tones, tmp_path):
    from stav2a.train.stages.vocoder import VocoderStage

    torch.manual_seed(0)
    stage = VocoderStage(settings(tmp_path, bank=str(tones), options={"adversarial_after": 1}))
    batch = {"waveform": torch.stack([stage.sample("train", k)["waveform"] for k in range(2)])}
    optimizer = torch.optim.AdamW(stage.phase_parameters("vocoder"), 3e-3)
    losses = []
    for _ in range(25):  # before the discriminators join
        out = stage({**batch, "index": torch.tensor([0, 1])}, "vocoder")
        assert "adversarial" not in out
        optimizer.zero_grad()
        out["loss"].backward()
        optimizer.step()
        losses.append(float(out["loss"].detach()))
    assert min(losses[-5:]) < 0.8 * losses[0]

    stage.zero_grad()
    late = {**batch, "index": torch.tensor([2, 3])}
    assert "adversarial" in stage(late, "vocoder")
    stage(late, "discriminators")["loss"].backward()
    assert all(p.grad is None for p in stage.vocoder.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in stage.discriminators.parameters())
    stage.export(tmp_path / "parts")
    assert (tmp_path / "parts" / "vocoder" / "model.safetensors").is_file()


def test_the_vocoder_in_mixed_precision_hears_in_single(tones, tmp_path):
    from stav2a.train.stages.vocoder import VocoderStage

    torch.manual_seed(0)
    stage = VocoderStage(settings(tmp_path, bank=str(tones), options={"spectral_weight": 3.0}))
    batch = {"waveform": torch.stack([stage.sample("train", k)["waveform"] for k in range(2)])}
    batch["index"] = torch.tensor([0, 1])
    stage.eval()
    single = stage(batch, "vocoder")
    with torch.autocast("cpu", torch.bfloat16):
        mixed = stage(batch, "vocoder")
        judged = stage(batch, "discriminators")["loss"]
    assert single["loss"].item() == pytest.approx(3 * (4 * single["mel"] + single["stft"]).item())
    for name, value in single.items():
        assert mixed[name].dtype == torch.float32
        assert mixed[name].item() == pytest.approx(value.item(), rel=0.02), name
    (mixed["loss"] + judged).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in stage.parameters())


def test_defaults_that_stages_find_are_kept_together(tmp_path):
    note_default(tmp_path, "onset_threshold", 0.4)
    note_default(tmp_path, "steps", 12)
    assert noted_defaults(tmp_path) == {"onset_threshold": 0.4, "steps": 12}
    assert noted_defaults(tmp_path / "nowhere") == {}


def test_awakened_features_let_frames_through():
    from stav2a.train.stages.onset import awakened

    torch.manual_seed(0)
    cavp = torch.nn.functional.normalize(torch.randn(1, 40, 16), dim=-1)
    plain = build("local_features", "tiny")
    started = awakened(build("local_features", "tiny"))
    with torch.no_grad():
        assert started(cavp)[0].std(1).mean() > 20 * plain(cavp)[0].std(1).mean()


def test_a_checkpoint_stored_in_half_opens_in_full_precision(tmp_path):
    from debug_model import tiny

    from stav2a.models.build import CLASSES
    from stav2a.pipeline import STAV2APipeline
    from stav2a.train.runtime.parts import assemble

    whole = tiny()
    for name in CLASSES:
        getattr(whole, name).save_pretrained(tmp_path / "parts" / name)
    out = assemble(tmp_path / "parts", "tiny", tmp_path / "model", {"steps": 3}, half=True, notes="## Data\nNone.")
    opened = STAV2APipeline.from_pretrained(out)
    for name in CLASSES:
        stored, kept = getattr(whole, name).state_dict(), getattr(opened, name).state_dict()
        for key, value in kept.items():
            assert value.dtype in (torch.float32, torch.int64), (name, key, value.dtype)
            torch.testing.assert_close(value, stored[key].half().to(value.dtype), rtol=1e-3, atol=1e-6)
    assert opened.defaults["steps"] == 3
    assert "## Data" in (out / "README.md").read_text()
    smaller = (out / "unet" / "diffusion_pytorch_model.safetensors").stat().st_size
    assert smaller < 0.6 * (tmp_path / "parts" / "unet" / "diffusion_pytorch_model.safetensors").stat().st_size


@pytest.mark.slow
def test_two_processes_share_the_features(cache, tmp_path):
    torch.manual_seed(1)
    for name in ("video_encoder", "local_features"):
        build(name, "tiny").save_pretrained(tmp_path / name)
    in_two_processes(tmp_path, cache, "features")
    folder = cache / f"features-{digest(*(trained(tmp_path, n) for n in ('video_encoder', 'local_features')))}"
    assert sorted(path.name for path in folder.iterdir()) == ["cavp.npy", "local.npy"]
    both = {name: np.load(folder / f"{name}.npy") for name in ("cavp", "local")}
    shutil.rmtree(folder)
    alone = see_clips(tmp_path, cache)
    assert len(both["local"]) == 5 and (both["local"] != 0).any((1, 2)).all()
    for name, values in both.items():
        np.testing.assert_allclose(values, getattr(alone, name), atol=2e-3)
