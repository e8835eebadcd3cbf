"""Training with reference tokens: what a reference is, when it is dropped, what learns, and the checkpoint it makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from tone_bank import COLUMNS, write_bank
from torch.utils.data import default_collate
from untrained_parts import untrained_parts

from stav2a.condition.reference_pool import ReferencePooling
from stav2a.data.foleyworld.cache import write_cache
from stav2a.data.foleyworld.plan import Event, Score
from stav2a.data.foleyworld.sound.mix import render
from stav2a.data.foleyworld.sound.sources import BankSource
from stav2a.data.prepare import PrepareSettings, Rendered, prepare
from stav2a.data.soundbank import SoundBank
from stav2a.pipeline import STAV2APipeline
from stav2a.pipeline.recordings import START_PEAK
from stav2a.train.registry import make_stage
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.loop import train
from stav2a.train.runtime.parts import assemble, note_default, noted_defaults, trained

CONFIGS = Path(__file__).parents[2] / "configs"
TRAINED_ON = {"fine_tune": True, "freeze_control": True, "trained_unet": ["*attn2*"], "heard_clips": 0}


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A base of untrained tiny parts, a bank of tones, and clips rendered beforehand of things that it has."""
    folder = tmp_path_factory.mktemp("work")
    untrained_parts(folder / "base", controls=True)
    note_default(folder / "base", "onset_threshold", 0.3)
    (folder / "bank").mkdir()
    write_bank(folder / "bank", ("wood_hit", "metal_hit", "stone_hit", "thud", "hand_drum", "hand_clap", "glass_clink"))
    world = {"bank": str(folder / "bank"), "sprites": None, "scenes": ["strike"], "duration_s": 1.28, "fps": 25.0}
    list(write_cache(folder / "cached", {**world, "size": 32, "split": "train", "seed": 0}, 4))
    return folder


def stage_of(work: Path, place: Path, **options):
    words = [f"parts={place}/parts", f"out={place}/logs", f"bank={work}/bank", "crop_s=1.28"]
    config = TrainConfig.load(CONFIGS / "tiny" / "v2a.yaml", words)
    given = {"reference": 1.0, "base": f"{work}/base", "cache": f"{work}/cached", **TRAINED_ON}
    config.options.update({**given, **options})
    return make_stage("v2a", config)


def batch_of(stage, count: int = 4) -> dict:
    return default_collate([{**stage.sample("train", k), "index": torch.tensor(k)} for k in range(count)])


def test_a_reference_is_not_the_target_s_own_recording(work, tmp_path):
    """The bank has four recordings of a class to train on and two to validate on; each thing is one of them."""
    stage = stage_of(work, tmp_path)
    heard_at_all = 0
    for split in ("train", "val"):
        world = stage.worlds[split]
        for index in range(8):
            plan = world.plan(index)
            own = world.sound(index, plan=plan)
            other = world.sound(index, 1, plan, own.recordings)
            assert len(own.waveform) == len(other.waveform)
            assert not set(own.recordings) & set(other.recordings)
            heard_at_all += bool(own.recordings) and bool(other.recordings)
    assert heard_at_all >= 6


def test_the_nearest_other_recordings_come_first(tmp_path):
    """Of the same thing, with the same caption, of the same material, of the class; the last one stays."""
    about = {
        "a": ("g1", "a gong", "brass"), "b": ("g1", "a lid", "tin"), "c": ("g2", "a gong", "tin"),
        "d": ("g3", "a pan", "brass"), "e": ("g4", "a rail", "steel"),
    }  # fmt: skip
    rows = [COLUMNS]
    for k, (name, (group, caption, material)) in enumerate(about.items()):
        wave = 0.7 * np.sin(np.arange(8000) * 0.05 * (k + 1)) * np.exp(-np.arange(8000) / 2000)
        soundfile.write(tmp_path / f"{name}.flac", wave.astype(np.float32), 16000)
        rows.append(f"{name}.flac,metal_hit,oneshot,{caption},{material},0.5,0.0,t,CC0,train,,{name}.wav,{group}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    source, score = BankSource(SoundBank(tmp_path, "train")), Score(1.0, [Event(0.3, "metal_hit")]).finish()

    def mixed(*without: str) -> set[str]:
        paths = [f"{name}.flac" for name in without]
        made = (render(score, source.apart_from(paths), np.random.default_rng(seed)) for seed in range(40))
        return {path.removesuffix(".flac") for sound in made for path in sound.recordings}

    assert mixed() == set(about)
    assert mixed("a") == {"b"} and mixed("a", "b") == {"c"}
    assert mixed("a", "b", "c") == {"d"} and mixed("a", "b", "c", "d") == {"e"}
    assert mixed(*about) == set(about)


def test_a_reference_follows_the_index_and_is_levelled(work, tmp_path):
    stage, again = stage_of(work, tmp_path), stage_of(work, tmp_path)
    batch = batch_of(stage)
    assert torch.equal(batch["reference"], batch_of(again)["reference"]) and batch["has_reference"].any()
    for told, there in zip(batch["reference"], batch["has_reference"], strict=True):
        assert float(told.abs().max()) == pytest.approx(START_PEAK if there else 0.0)
    later = stage.sample("train", 4 + len(stage.worlds["train"]))  # the same clips again, in another pass
    assert not any(torch.equal(later["reference"], told) for told in batch["reference"])


def test_a_reference_is_dropped_by_chance_and_with_the_caption(work, tmp_path):
    stage = stage_of(work, tmp_path, reference=0.6, drop_text=0.3, drop_both=0.0)
    there = torch.stack([stage.references["train"](k, *planned(stage, k))["has_reference"] for k in range(100)])
    assert 0.45 < float(there.float().mean()) < 0.75
    seen = []
    stage.loss = lambda latents, conditions, *_: seen.append(conditions) or latents.sum()
    one = {**stage.sample("train", 0), "has_reference": torch.tensor(True)}
    index = torch.arange(24)
    stage.eval()(default_collate([{**one, "index": k} for k in index]))
    captionless = stage.without_caption(index)
    assert 0 < int(captionless.sum()) < 24 and torch.equal(seen[0].has_reference, ~captionless)
    none = {**one, "has_reference": torch.tensor(False)}
    stage(default_collate([{**none, "index": k} for k in index]))
    assert not seen[1].has_reference.any()


def planned(stage, index: int):
    plan = stage.worlds["train"].plan(index)
    return plan, stage.worlds["train"].sound(index, plan=plan)


def test_pooling_and_cross_attention_learn_and_the_rest_rests(work, tmp_path):
    stage = stage_of(work, tmp_path).train()
    stage(batch_of(stage))["loss"].backward()
    moved = {name for name, p in stage.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert any(name.startswith("reference_pool.") for name in moved)
    assert any("attn2.to_v" in name for name in moved)
    assert all(name.startswith("reference_pool.") or "attn2" in name for name in moved)
    assert not stage.controlnet.training and not stage.attentive_pool.training


def test_from_training_to_a_checkpoint_that_hears_the_recordings(work, tmp_path):
    stage = stage_of(work, tmp_path)
    train(stage, stage.config)
    parts = tmp_path / "parts"
    assert isinstance(trained(parts, "reference_pool"), ReferencePooling)
    assert noted_defaults(parts)["onset_threshold"] == 0.3  # of the base
    for name, rests in (("controlnet", True), ("attentive_pool", True), ("unet", False)):
        now, before = (
            load_file(folder / name / "diffusion_pytorch_model.safetensors") for folder in (parts, work / "base")
        )
        assert all(torch.equal(value, before[key]) for key, value in now.items() if "attn2" not in key)
        assert all(torch.equal(value, before[key]) for key, value in now.items()) == rests
    kept = trained(parts, "reference_pool").state_dict()
    again = stage_of(work, tmp_path)  # goes on from it
    assert all(torch.equal(value, kept[key]) for key, value in again.reference_pool.state_dict().items())
    pipe = STAV2APipeline.from_pretrained(assemble(parts, "tiny", tmp_path / "model"))
    pipe.set_progress_bar_config(disable=True)
    frames = np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3), np.uint8)
    knock = (np.sin(np.arange(8000) * 0.3) * np.exp(-np.arange(8000) / 2000)).astype(np.float32)
    options = {"num_inference_steps": 1, "strength": 1.0, "reference": knock}
    with_tokens = pipe(frames, "a tone", **options).waveforms
    bare = STAV2APipeline.from_pretrained(tmp_path / "model", reference_pool=None)
    bare.set_progress_bar_config(disable=True)
    assert not np.array_equal(bare(frames, "a tone", **options).waveforms, with_tokens)


def test_without_the_option_there_is_no_such_part(work, tmp_path):
    stage = stage_of(work, tmp_path, reference=0.0, fine_tune=False, freeze_control=False)
    assert stage.reference_pool is None and "reference" not in stage.sample("train", 0)
    stage.export(tmp_path / "parts")
    assert not (tmp_path / "parts" / "reference_pool").exists()


def test_options_that_cannot_be_had_are_told(work, tmp_path):
    settings = PrepareSettings(model="tiny", world={"duration_s": 1.28, "fps": 25.0, "size": 32, "split": "train"})
    list(prepare(tmp_path / "shards", [Rendered(k, "val" if k else "train") for k in range(2)], settings))
    for options, told in (
        ({"shards": f"{tmp_path}/shards", "cache": None}, "options.reference needs rendered clips"),
        ({"fine_tune": False}, "options.freeze_control is for a ControlNet that"),
        ({"reference": 1.5}, r"options.reference is 1.5; it must be a chance"),
        ({"trained_unet": ["nothing*"]}, "no weight of the U-Net is named 'nothing\\*'"),
    ):
        with pytest.raises(ValueError, match=told):
            stage_of(work, tmp_path, **options)
