"""The paper's recipe: what training does to text, picture and mask, and that its checkpoint is sampled the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from prepared import prepared
from torch.utils.data import default_collate
from transformers import MT5Config, MT5EncoderModel
from untrained_parts import untrained_parts

from stav2a import presets
from stav2a.condition.text import untrained_text_parts
from stav2a.models.build import CLASSES, build, build_controlnet
from stav2a.pipeline import STAV2APipeline
from stav2a.presets import narrow
from stav2a.train.registry import make_stage
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.parts import noted_defaults, text_parts

MODEL = narrow("paper")
CONFIGS = Path(__file__).parents[2] / "configs" / "paper"


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    untrained_parts(folder / "parts", MODEL)
    return folder


def stage_of(name: str, work: Path, folder: Path, **options):
    """A stage of configs/paper, narrow and on rendered clips."""
    shutil.copytree(work / "parts", folder / "parts", dirs_exist_ok=True)
    words = [f"model={MODEL}", f"parts={folder}/parts", f"out={folder}", "options.shards=null", "batch_size=2"]
    config = TrainConfig.load(CONFIGS / f"{name}.yaml", [*words, "micro_batch_size=0"])
    config.options.update(options)
    torch.manual_seed(0)
    return make_stage(name, config)


def batch_of(stage, count: int = 2) -> dict:
    return default_collate([{**stage.sample("train", 0), "index": torch.tensor(k)} for k in range(count)])


def calls(module) -> list[dict]:
    """Keyword arguments of every call of the module from now on."""
    seen: list[dict] = []
    module.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs), with_kwargs=True)
    return seen


def test_guidance_is_on_text_alone(work, tmp_path):
    """Dropped captions are zeros under their own mask; no picture is ever dropped; the ControlNet takes no mask."""
    stage = stage_of("v2a", work, tmp_path, drop_text=0.5).eval()
    batch = batch_of(stage, 4)
    of_unet, of_control = calls(stage.unet), calls(stage.controlnet)
    stage(batch)
    context, mask = of_unet[0]["encoder_hidden_states"], of_unet[0]["encoder_attention_mask"]
    words, pictures = context[:, :-4], context[:, -4:]
    dropped = ~words.flatten(1).any(1)
    assert 0 < dropped.sum() < 4 and torch.equal(mask, mask[:1].expand(4, -1))
    assert pictures.flatten(1).any(1).all() and of_control[0]["controlnet_cond"].flatten(1).any(1).all()
    assert of_control[0]["encoder_attention_mask"] is None and of_unet[0]["encoder_attention_mask"] is not None


def test_a_checkpoint_is_sampled_as_it_was_trained(work, tmp_path):
    for name in ("t2a", "v2a"):
        stage = stage_of(name, work, tmp_path)
        stage.export(tmp_path / "parts")
    noted = noted_defaults(tmp_path / "parts")
    assert noted == {"null_text": "zeros", "mask_control": False, "use_global_tokens": True}
    pipe = pipeline(**noted)
    words = pipe.encode_prompt("a dog barks")
    assert not words.null_text_tokens.any() and torch.equal(words.null_text_mask, words.text_mask)
    assert pipe.encode_prompt("a dog barks", "wind").null_text_tokens.any(), "a negative caption is no empty one"
    heard = stage.encode_text(["a dog barks"])
    torch.testing.assert_close(heard.text_tokens, words.text_tokens)
    assert torch.equal(heard.null_text_tokens, words.null_text_tokens)
    assert pipe.defaults["mask_control"] is stage.guidance().mask_control is False


def test_onset_and_diffusion_loss_are_learnt_together_where_asked(work, tmp_path):
    """The authors' forward gives both; with weight 0 local features and onset head rest."""
    apart = stage_of("v2a", work, tmp_path / "apart").train()
    assert not any(p.requires_grad for p in apart.local_features.parameters())
    joint = stage_of("v2a", work, tmp_path / "joint", onset_loss_weight=2.0, drop_text=0.0).train()
    losses = joint(batch_of(joint))
    torch.testing.assert_close(losses["loss"].detach(), losses["diffusion"] + 2 * losses["onset"])
    losses["loss"].backward()
    head = joint.local_features.pre_onset.l2.weight
    assert head.grad is not None and head.grad.abs().sum() > 0
    joint.export(tmp_path / "joint" / "parts")
    assert (tmp_path / "joint/parts/local_features/config.json").is_file()
    with pytest.raises(ValueError, match="onset=false has none"):
        stage_of("v2a", work, tmp_path / "none", onset_loss_weight=1.0, onset=False)


def test_the_pretext_task_is_eq_1(work, tmp_path):
    stage = stage_of("onset", work, tmp_path)
    assert stage.options.onset_weight == 1.0 and not any(p.requires_grad for p in stage.video_encoder.parameters())
    sample = stage.sample("train", 0)
    assert sample["labels"].dtype == torch.int64 and sample["labels"].shape == (256,)
    batch = default_collate([{**sample, "index": torch.tensor(0)}])
    with torch.no_grad():
        _, logits = stage.local_features(stage.video_encoder(batch["frames"].permute(0, 4, 1, 2, 3).float() / 255))
        wanted = torch.nn.functional.cross_entropy(logits[:, :256].transpose(1, 2), batch["labels"])
        torch.testing.assert_close(stage(batch)["loss"], wanted)


def test_mt5_comes_from_the_parts_of_a_converted_release(tmp_path, monkeypatch):
    """`cp -r HF_HOME/stav2a/paper runs/paper` brings it along: nothing is fetched a second time."""
    monkeypatch.setattr("stav2a.weights.fetch.fetch", lambda name: pytest.fail(f"{name} was fetched"))
    monkeypatch.setattr("stav2a.weights.fetch.home", lambda: tmp_path / "home")
    tokenizer, _ = untrained_text_parts(8)
    config = MT5Config(vocab_size=len(tokenizer), d_model=16, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    for place in ("parts", "home/paper"):
        written = MT5EncoderModel(config)
        written.save_pretrained(tmp_path / place / "text_encoder")
        tokenizer.save_pretrained(tmp_path / place / "tokenizer")
        words, read = text_parts("paper", None, tmp_path / "parts")
        assert len(words) == len(tokenizer)
        assert all(torch.equal(value, written.state_dict()[name]) for name, value in read.state_dict().items())
        shutil.rmtree(tmp_path / place)


def pipeline(**defaults) -> STAV2APipeline:
    """The paper's model, narrow and untrained."""
    torch.manual_seed(0)
    parts = {name: build(name, MODEL) for name in CLASSES if name != "controlnet"}
    parts["controlnet"] = build_controlnet(parts["unet"], MODEL)
    tokenizer, text_encoder = untrained_text_parts(presets.UNET[MODEL]["cross_attention_dim"])
    pipe = STAV2APipeline(
        **{name: part.eval() for name, part in parts.items()},
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        scheduler=DDPMScheduler(**presets.SCHEDULER["paper"]),
        timeline=presets.PAPER.to_dict(),
        defaults=defaults,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_the_faithful_mode_rules_every_stage():
    """Whatever the checkpoint's own defaults are: the sound of one that has the authors' values as its own."""
    from stav2a.weights.faithful import FAITHFUL

    frames = np.random.default_rng(0).integers(0, 255, (8, 224, 224, 3), np.uint8)
    other = {
        "steps": 3, "guidance_scale": 7.0, "video_guidance_scale": 2.0, "sampler": "ddim", "onset_threshold": 0.01,
        "mask_control": True, "guided_share": 0.5, "guidance_rescale": 0.7, "timestep_power": 2.0,
        "null_text": "zeros", "equaliser_rounds": 2, "strength": 0.5,
    }  # fmt: skip
    assert other.keys() == FAITHFUL.keys() and all(other[name] != FAITHFUL[name] for name in other)
    wanted, ours = pipeline(**FAITHFUL), pipeline(**other)
    settings = {"num_inference_steps": 2, "seed": 3}
    faithful = ours(frames, "a dog barks", mode="faithful", **settings)
    np.testing.assert_array_equal(faithful.waveforms, wanted(frames, "a dog barks", **settings).waveforms)
    assert faithful.predicted_onsets_s == wanted.encode_video(frames).onset.onsets_s
    assert not np.array_equal(ours(frames, "a dog barks", **settings).waveforms, faithful.waveforms)
    # each stage called alone follows as well
    alone = ours.in_mode("faithful")
    assert alone.in_mode(None) is alone and ours.defaults["steps"] == 3 and alone.defaults["steps"] == 200
    *_, latents = alone.denoise([prepared(alone, frames, "a dog barks", seed=3, steps=2)])
    np.testing.assert_array_equal(alone.decode(latents)[0][:, : faithful.waveforms.shape[1]], faithful.waveforms)
