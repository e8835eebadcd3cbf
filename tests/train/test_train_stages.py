"""Every stage by its command, from sound to a checkpoint that opens; the rows of Table III; prepared clips."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared import prepared
from safetensors.torch import load_file
from tone_bank import write_bank
from torch.utils.data import default_collate

from stav2a.__main__ import main
from stav2a.condition.cavp import CAVPVideoEncoder
from stav2a.data.foleyworld.cache import write_cache
from stav2a.data.listing import MediaSource
from stav2a.data.prepare import PrepareSettings, Rendered, prepare
from stav2a.models.build import build, open_video_encoder
from stav2a.presets import VIDEO_ENCODER
from stav2a.train.registry import STAGES, make_stage
from stav2a.train.runtime.average import average
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.loop import train
from stav2a.train.runtime.parts import trained
from stav2a.train.stages.onset import first_stages, grown
from stav2a.train.stages.vae import spectral_convergence
from stav2a.train.stages.video import info_nce, unit
from stav2a.weights import vision

CONFIGS = Path(__file__).parents[2] / "configs" / "tiny"


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder in which every stage has been trained for two steps: bank, parts, logs, model."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "bank").mkdir()
    write_bank(folder / "bank")
    words = [f"parts={folder}/parts", f"out={folder}/logs", f"bank={folder}/bank"]
    for stage in filter(lambda name: name != "distill", STAGES):  # which `test_distill.py` trains
        assert main(["train", stage, "--config", str(CONFIGS / f"{stage}.yaml"), *words]) == 0, stage
    assert main(["train", "assemble", "model=tiny", f"parts={folder}/parts", f"out={folder}/model"]) == 0
    return folder


@pytest.fixture(scope="module")
def shards(work):
    """Four rendered clips as prepared ones, three to train on, with features of the trained encoder."""
    world = {"duration_s": 1.28, "fps": 25.0, "size": 32, "split": "train"}
    sources = [Rendered(k, "val" if k == 3 else "train") for k in range(4)]
    list(prepare(work / "shards", sources, PrepareSettings(model="tiny", parts=str(work / "parts"), world=world)))
    return work / "shards"


def stage_of(name: str, work: Path, folder: Path, **options):
    """A stage of the tiny model on a copy of the trained parts, and its settings."""
    parts = folder / "parts"
    if not parts.is_dir():
        shutil.copytree(work / "parts", parts)
    config = TrainConfig.load(
        CONFIGS / f"{name}.yaml", [f"parts={parts}", f"out={folder}/logs", f"bank={work}/bank", "steps=1"]
    )
    config.options.update(options)
    torch.manual_seed(0)
    return make_stage(name, config), config


def test_the_parts_assemble_to_a_checkpoint_that_opens(work):
    from stav2a.pipeline import STAV2APipeline

    pipe = STAV2APipeline.from_pretrained(work / "model")
    out = pipe(np.zeros((16, 32, 32, 3), np.uint8), "a tone", num_inference_steps=1)
    assert out.waveforms.shape == (1, 16 * 640)


def test_validation_leaves_sounds_pictures_and_scores(work):
    for stage in ("t2a", "v2a"):
        samples = work / "logs" / stage / "samples"
        assert (samples / "00.wav").stat().st_size > 10_000 and (samples / "00.png").read_bytes()[:4] == b"\x89PNG"
    last = json.loads((work / "logs" / "v2a" / "log.jsonl").read_text().splitlines()[-1])
    assert 0 <= last["validation/heard_onset_f1"] <= 1 and "validation/heard_onset_gain" in last
    assert (work / "logs" / "video" / "samples" / "moments.png").is_file()


def test_an_interrupted_v2a_run_draws_the_same_dropout(work, tmp_path):
    """Attentive pooling has dropout: two steps at once, and one step and then one."""
    ends = []
    for name, first_steps in (("whole", 2), ("parted", 1)):
        stage, config = stage_of("v2a", work, tmp_path / name, heard_clips=0)
        config.steps, config.save_every, config.validate_every = 2, 1, 99
        if first_steps == 1:
            train(stage, config)
            shutil.rmtree(max((tmp_path / name / "logs" / "v2a").glob("checkpoint-*")))
            stage, _ = stage_of("v2a", work, tmp_path / name, heard_clips=0)
        train(stage, config)
        ends.append({n: p.detach().clone() for n, p in stage.named_parameters() if p.requires_grad})
    assert any(n.startswith("attentive_pool") for n in ends[0])
    assert all(torch.equal(ends[0][n], ends[1][n]) for n in ends[0])


@pytest.mark.parametrize(
    ("options", "learns", "rests"),
    [
        ({}, {"unet", "controlnet", "attentive_pool"}, {"local_features", "video_encoder"}),
        ({"global_tokens": False}, {"unet", "controlnet"}, {"attentive_pool", "local_features"}),
        ({"onset": False, "global_tokens": False}, {"unet", "controlnet", "local_features"}, {"attentive_pool"}),
        (
            {"onset": False, "global_tokens": False, "freeze_unet": True},
            {"controlnet", "local_features"},
            {"unet", "attentive_pool"},
        ),
    ],
    ids=["CN+Onset+GVF", "CN+Onset", "CN", "CN Frozen"],
)
def test_rows_of_table_three(work, tmp_path, options, learns, rests):
    stage, _ = stage_of("v2a", work, tmp_path, heard_clips=0, **options)
    torch.nn.init.normal_(stage.controlnet.controlnet_mid_block.weight)  # opens the way that starts as zero
    torch.nn.init.normal_(stage.controlnet.controlnet_cond_embedding.conv_out.weight)
    batch = default_collate([{**stage.sample("train", k), "index": torch.tensor(k)} for k in range(2)])
    stage.train()(batch)["loss"].backward()
    for name in learns:
        part = getattr(stage, name)
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters()), name
    for name in rests:
        assert all(p.grad is None for p in getattr(stage, name).parameters()), name
    local = stage.local_features.config.local_dim
    assert stage.controlnet.config.conditioning_channels == local + options.get("onset", True)


def test_a_model_without_onset_task_opens_and_predicts_none(work, tmp_path):
    from stav2a.pipeline import STAV2APipeline

    stage, config = stage_of("v2a", work, tmp_path, heard_clips=0, onset=False)
    train(stage, config)
    assert main(["train", "assemble", "model=tiny", f"parts={config.parts}", f"out={tmp_path}/model"]) == 0
    pipe = STAV2APipeline.from_pretrained(tmp_path / "model")
    assert not pipe.has_onset_channel
    assert pipe(np.zeros((16, 32, 32, 3), np.uint8), "", num_inference_steps=1).predicted_onsets_s == []


def test_the_onset_stage_goes_on_from_what_it_finds(work, tmp_path):
    """The video encoder always, the local features where asked: else their head starts anew."""
    kept = load_file(work / "parts/local_features/diffusion_pytorch_model.safetensors")
    for fine_tune in (True, False):
        stage, _ = stage_of("onset", work, tmp_path, fine_tune=fine_tune)
        now = stage.local_features.state_dict()
        assert torch.equal(now["pre_onset.l2.weight"], kept["pre_onset.l2.weight"]) == fine_tune


def test_an_encoder_is_given_what_its_size_has_and_it_lacks():
    preset = VIDEO_ENCODER["compact"]
    sizes = {name: value for name, value in preset.items() if name not in ("temporal_dilations", "spatial_peaks")}
    trained = CAVPVideoEncoder(**sizes).eval()
    larger = grown(trained, "compact").eval()
    assert len(larger.temporal) == len(preset["temporal_dilations"]) > 0 and larger.peaks is not None
    frames = torch.rand(1, 3, 4, 32, 32)
    torch.testing.assert_close(larger(frames), trained(frames))
    assert grown(larger, "compact") is larger
    blocks_alone = CAVPVideoEncoder(**sizes, temporal_dilations=(1, 2, 4, 8))
    torch.nn.init.normal_(blocks_alone.temporal[0].conv2.weight)
    kept = grown(blocks_alone, "compact").state_dict()
    assert all(torch.equal(kept[name], value) for name, value in blocks_alone.state_dict().items())
    debug = CAVPVideoEncoder(**VIDEO_ENCODER["tiny"])
    assert grown(debug, "tiny") is debug


def test_frozen_stages_stay_as_they_are_and_the_rest_learns(work, tmp_path):
    stage, config = stage_of("onset", work, tmp_path, heard_clips=0, frozen_stages=2)
    slow = stage.video_encoder.video_encoder
    frozen = torch.nn.ModuleList([slow.conv1, slow.layer1, slow.layer2])
    before = {name: value.clone() for name, value in frozen.state_dict().items()}
    later = slow.layer3[0].conv1.conv.weight.detach().clone()
    train(stage, config)
    assert before and all(torch.equal(value, before[name]) for name, value in frozen.state_dict().items())
    assert not torch.equal(slow.layer3[0].conv1.conv.weight, later)
    assert first_stages(stage.video_encoder, 0) == []
    with pytest.raises(ValueError, match="has 4 levels"):
        first_stages(stage.video_encoder, 5)


def test_weights_of_several_trainings_are_averaged(tmp_path):
    parts = [build("video_encoder", "tiny") for _ in range(3)]
    for k, part in enumerate(parts):
        part.video_encoder.conv1.bn.num_batches_tracked.fill_(k)
        part.save_pretrained(tmp_path / str(k) / "video_encoder")
    words = [f"parts={tmp_path}/mean", f"options.of=[{tmp_path}/0,{tmp_path}/1,{tmp_path}/2]"]
    assert main(["train", "average", *words, "options.names=[video_encoder]"]) == 0
    mean = CAVPVideoEncoder.from_pretrained(tmp_path / "mean" / "video_encoder").state_dict()
    for name, value in mean.items():
        wanted = sum(part.state_dict()[name].double() for part in parts) / 3
        torch.testing.assert_close(value.double(), wanted, atol=1e-7, rtol=1e-6)
    CAVPVideoEncoder(**{**VIDEO_ENCODER["tiny"], "base_channels": 8}).save_pretrained(tmp_path / "0" / "video_encoder")
    for folders, names, sentence in (
        ([tmp_path / "0"], ["video_encoder"], "two or more folders"),
        ([tmp_path / "1", tmp_path / "2"], ["ear"], "no part"),
        ([tmp_path / "1", tmp_path / "2"], ["vae"], "has no vae yet"),
        ([tmp_path / "0", tmp_path / "1"], ["video_encoder"], "not the same shapes"),
    ):
        with pytest.raises(ValueError, match=sentence):
            average(folders, names, tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


@pytest.mark.parametrize("name", ["vae", "video", "onset", "t2a", "v2a"])
def test_stages_read_prepared_clips(work, shards, tmp_path, name):
    options = {"vae": {}, "video": {"concat": 0.5}}.get(name, {"heard_clips": 0, "concat": 0.5})
    stage, config = stage_of(name, work, tmp_path, shards=str(shards), **options)
    before = {n: p.detach().clone() for n, p in stage.named_parameters() if p.requires_grad}
    measures = train(stage, config)
    assert np.isfinite(measures["loss"])
    assert any(not torch.equal(p, before[n]) for n, p in stage.named_parameters() if n in before)


def test_stored_features_stand_for_the_encoders(work, shards, tmp_path):
    stage, _ = stage_of("v2a", work, tmp_path, shards=str(shards))
    stored = default_collate([stage.sample("val", 0)])
    stage.stored["val"] = None
    computed = stage.eval().encode_batch(default_collate([stage.sample("val", 0)]))
    # where features of the whole clip were stored, the encoder saw beyond the edges of the stretch
    torch.testing.assert_close(stored["cavp_features"][:, 6:-6], computed["cavp_features"][:, 6:-6], atol=0.05, rtol=0)
    assert torch.equal(stored["curve"], computed["curve"]) and stored["caption"] == computed["caption"]
    assert stage_of("v2a", work, tmp_path, shards=str(shards), stretch=0.5)[0].stored["train"] is None


@pytest.mark.parametrize("name", ["video", "onset", "t2a", "v2a"])
@pytest.mark.parametrize("source", ["rendered", "cache", "shards"])
def test_every_stage_takes_its_clips_from_any_source(work, shards, tmp_path, name, source):
    """The same sample for the same index, whatever was asked for before, and a loss from a batch of them."""
    options = {"rendered": {}, "cache": {"cache": str(cached(work))}, "shards": {"shards": str(shards)}}[source]
    options |= {} if name == "video" else {"heard_clips": 0}
    stage, _ = stage_of(name, work, tmp_path, **options)
    again, _ = stage_of(name, work, tmp_path, **options)
    again.sample("train", 5)
    for split in ("train", "val"):
        one, other = stage.sample(split, 1), again.sample(split, 1)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one if key != "caption")
    batch = default_collate([{**stage.sample("train", k), "index": torch.tensor(k)} for k in range(2)])
    assert torch.isfinite(stage.train()(batch)["loss"])


def cached(work: Path) -> Path:
    """Three clips of the work's world, rendered once."""
    options = {"bank": str(work / "bank"), "sprites": None, "split": "train", "seed": 0, "duration_s": 1.28}
    options |= {"fps": 25.0, "size": 32, "held_out_captions": False, "scenes": None}
    list(write_cache(work / "world", options, 3))
    return work / "world"


def test_captions_are_dropped_at_the_chance_asked_for(work, tmp_path):
    """By the sample's index: the empty caption stands for none, as in guidance."""
    stage, _ = stage_of("t2a", work, tmp_path, drop_text=0.25, heard_clips=0)
    indices = torch.arange(400)
    words = {"index": indices, "caption": ["a tone"] * 400}
    masks = stage.text(words).text_mask.sum(1)
    empty = int(stage.text({"index": indices[:1], "caption": [""]}).text_mask.sum())
    dropped = (masks == empty).float().mean()
    assert 0.18 < dropped < 0.32
    assert torch.equal(stage.text({"index": indices[7:8], "caption": ["a tone"]}).text_mask.sum(1), masks[7:8])


def test_pictures_are_dropped_as_guidance_drops_them(work, tmp_path):
    """Together, alone or with the caption: what guidance subtracts must have been learnt."""
    stage, _ = stage_of("v2a", work, tmp_path, drop_video=0.0, drop_picture=0.3, drop_both=0.2, drop_text=0.0)
    count, met = 120, []
    one = stage.sample("train", 0)
    batch = default_collate([{**one, "index": index} for index in range(count)])
    stage.loss = lambda latents, conditions, *rest: met.append(conditions) or latents.sum()
    with torch.no_grad():
        stage({**batch, "curve": torch.ones_like(batch["curve"])})
    (conditions,) = met
    dark = conditions.global_tokens.flatten(1).eq(0).all(1)
    assert torch.equal(dark, conditions.local_features.flatten(1).eq(0).all(1))
    assert torch.equal(dark, conditions.onset_curve.eq(0).all(1))
    wordless = conditions.text_mask.sum(1) == conditions.text_mask.sum(1).min()
    assert not (wordless & ~dark).any()  # a caption is dropped with the picture here, or not at all
    assert 0.35 < float(dark.float().mean()) < 0.65 and 0.1 < float(wordless.float().mean()) < 0.3


def test_a_decoder_learns_alone_and_latents_stay_what_they_are(work, tmp_path):
    stage, config = stage_of("vae", work, tmp_path, decoder_only=True)
    before = load_file(tmp_path / "parts" / "vae" / "diffusion_pytorch_model.safetensors")
    scale = stage.vae.config.scaling_factor
    train(stage, config)
    after = load_file(tmp_path / "parts" / "vae" / "diffusion_pytorch_model.safetensors")
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith(("decoder.", "post_quant_conv.")) for name in changed)
    assert json.loads((tmp_path / "parts" / "vae" / "config.json").read_text())["scaling_factor"] == scale


def test_a_vae_goes_on_with_its_latents_held(work, tmp_path):
    """Drift is counted from where the run began, also after a resume has found a later VAE in `parts`."""
    stage, config = stage_of("vae", work, tmp_path, fine_tune=True, anchor_weight=10.0)
    first = load_file(tmp_path / "parts" / "vae" / "diffusion_pytorch_model.safetensors")
    batch = default_collate([{**stage.sample("train", i), "index": torch.tensor(i)} for i in range(2)])
    start = stage.eval()(batch)
    assert start["drift"] == 0
    train(stage, config)
    assert stage.eval()(batch)["drift"] > 0
    assert all(torch.equal(stage.before.state_dict()[name], value) for name, value in first.items())
    later, _ = stage_of("vae", work, tmp_path, fine_tune=True, anchor_weight=10.0)
    assert not torch.equal(later.before.encoder.conv_in.weight, stage.before.encoder.conv_in.weight)
    later.load_state_dict(stage.state_dict())
    assert later.eval()(batch)["drift"] == stage(batch)["drift"]
    with pytest.raises(ValueError, match="fine_tune continues"):
        stage_of("vae", work, tmp_path, anchor_weight=10.0)


def test_discriminators_of_patches_join_when_asked(work, tmp_path):
    stage, _ = stage_of("vae", work, tmp_path, adversarial_weight=0.1, adversarial_after=1, discriminator_channels=4)
    assert stage.phases == ("main", "discriminators")
    trained = {id(p) for phase in stage.phases for p in stage.phase_parameters(phase)}
    assert trained == {id(p) for p in stage.parameters() if p.requires_grad}
    for start, joined in ((0, False), (stage.config.batch_size, True)):
        batch = default_collate([stage.sample("train", i) for i in range(start, start + stage.config.batch_size)])
        batch["index"] = torch.arange(start, start + stage.config.batch_size)
        losses, verdict = stage(batch), stage(batch, "discriminators")["loss"]
        assert ("adversarial" in losses) == joined and (verdict.item() > 0) == joined


def test_parts_stored_in_half_precision_are_trained_in_single(work, tmp_path):
    words = [f"parts={work}/parts", f"out={tmp_path}/half", "options.half=true"]
    assert main(["train", "assemble", "model=tiny", *words]) == 0
    for name in ("vocoder", "vae", "unet", "video_encoder"):
        stored = next((tmp_path / "half" / name).glob("*.safetensors"))
        assert {value.dtype for value in load_file(stored).values()} <= {torch.float16, torch.int64}
        assert trained(tmp_path / "half", name).dtype == torch.float32


def test_amplitudes_that_are_lost_cost_more_where_it_is_loud():
    mel = torch.full((1, 1, 8, 8), -6.0)
    mel[..., 0] = 1.0
    loud, quiet = mel.clone(), mel.clone()
    loud[..., 0] -= 0.5
    quiet[..., 1] -= 0.5
    assert spectral_convergence(loud, mel) > 100 * spectral_convergence(quiet, mel) > 0
    assert spectral_convergence(mel, mel) == 0


def test_a_vocoder_learns_from_coded_mels_too(work, tmp_path):
    stage, _ = stage_of("vocoder", work, tmp_path, through_vae=0.5)
    mel, index = torch.randn(16, 32, 64) - 5, torch.arange(16)
    coded = (stage.given(mel, index) != mel).flatten(1).any(1)
    assert 0 < int(coded.sum()) < 16
    assert torch.equal(stage.given(mel, index)[~coded], mel[~coded])


def test_a_model_without_global_tokens_is_sampled_without_them(work, tmp_path):
    from stav2a.pipeline import STAV2APipeline

    stage, config = stage_of("v2a", work, tmp_path, heard_clips=0, global_tokens=False)
    stage.export(Path(config.parts))
    assert main(["train", "assemble", "model=tiny", f"parts={config.parts}", f"out={tmp_path}/model"]) == 0
    pipe = STAV2APipeline.from_pretrained(tmp_path / "model")
    frames = np.zeros((16, 32, 32, 3), np.uint8)
    assert prepared(pipe, frames).conditions.global_tokens is None
    assert prepared(pipe, frames, defaults={"use_global_tokens": True}).conditions.global_tokens is not None
    assert prepared(STAV2APipeline.from_pretrained(work / "model"), frames).conditions.global_tokens is not None


def test_fine_tuning_goes_on_from_the_control_net_there_is(work, tmp_path):
    kept = load_file(work / "parts" / "controlnet" / "diffusion_pytorch_model.safetensors")
    for fine_tune in (True, False):
        stage, _ = stage_of("v2a", work, tmp_path, fine_tune=fine_tune)
        same = all(torch.equal(value, kept[name]) for name, value in stage.controlnet.state_dict().items())
        assert same == fine_tune
    with pytest.raises(ValueError, match="fine_tune continues a ControlNet"):
        stage_of("v2a", work, tmp_path, fine_tune=True, onset=False)


def test_a_list_without_a_usable_clip_is_told(tmp_path):
    from stav2a.data.shards import Shards

    missing = [MediaSource("nowhere.mp4", "nowhere.mp4", "", "train")]
    assert list(prepare(tmp_path / "none", missing, PrepareSettings(model="tiny"))) == [(0, 1), (1, 1)]
    with pytest.raises(ValueError, match="no clips that can be used"):
        Shards(tmp_path / "none")
    assert "There is no such file" in (tmp_path / "none" / "skipped.csv").read_text()


def test_accumulation_and_two_optimisers_do_not_mix(work, tmp_path):
    stage, config = stage_of("vocoder", work, tmp_path)
    config.gradient_accumulation_steps = 2
    with pytest.raises(ValueError, match="cannot accumulate gradients"):
        train(stage, config)


def test_contrast_is_the_cross_entropy_of_matching():
    seen, heard = unit(torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0)))
    loss, top1 = info_nce(seen, heard, torch.tensor(10.0))
    terms, hits = [], []
    for s, h in zip(seen, heard, strict=True):
        logits = 10 * s @ h.T
        terms += [-logits.log_softmax(1).diagonal(), -logits.log_softmax(0).diagonal()]
        hits.append((logits.argmax(1) == torch.arange(5)).float())
    torch.testing.assert_close(loss, torch.cat(terms).mean())
    torch.testing.assert_close(top1, torch.cat(hits).mean())
    assert info_nce(seen, seen, torch.tensor(100.0))[1] == 1  # everything finds itself


def test_the_video_stage_teaches_its_encoder_to_tell_moments(work, tmp_path):
    """On one batch: the temporal contrast falls clearly below chance, and the encoder it is exported from moves."""
    stage, config = stage_of("video", work, tmp_path)
    before = CAVPVideoEncoder.from_pretrained(f"{config.parts}/video_encoder").state_dict()
    generator = torch.Generator().manual_seed(1)
    stage.moments = 4
    # brightness and loudness go together, at another height in each moment
    level = torch.stack([torch.randperm(4, generator=generator) for _ in range(2)]).repeat_interleave(4, 1) / 4 + 0.1
    frames = (level[:, :, None, None, None] * 230).expand(2, 16, 32, 32, 3)
    waveform = torch.randn(2, 16, 640, generator=generator) * level[:, :, None]
    batch = {"frames": frames, "waveform": waveform.flatten(1) * 0.3}
    optimizer = torch.optim.AdamW(stage.phase_parameters("main"), 5e-3)
    first = None
    for _ in range(40):
        losses = stage(batch)
        first = first or losses["temporal"]
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
    assert losses["temporal"] < 0.6 * first and losses["temporal_top1"] >= 0.75
    stage.export(tmp_path / "out")
    after = CAVPVideoEncoder.from_pretrained(tmp_path / "out" / "video_encoder").state_dict()
    assert any(not torch.equal(after[n], before[n]) for n in before)


def test_the_video_stage_trains_a_pretrained_encoder_on(work, tmp_path):
    """One of transformers, which `weights encoder` writes as the part `video_encoder`."""
    encoder = vision.narrow("clip")
    encoder.save_pretrained(tmp_path / "parts" / "video_encoder")
    stage, _ = stage_of("video", work, tmp_path)
    stage(default_collate([stage.sample("train", k) for k in range(2)]))["loss"].backward()
    learnt = {n: p.grad for n, p in stage.video_encoder.named_parameters() if p.grad is not None and p.grad.any()}
    assert "trunk.model.visual_projection.weight" in learnt
    stage.export(tmp_path / "out")
    assert open_video_encoder(tmp_path / "out" / "video_encoder").config.feature_dim == encoder.config.feature_dim


def test_one_moment_is_no_contrast(work, tmp_path):
    with pytest.raises(ValueError, match="two moments"):
        stage_of("video", work, tmp_path, moment_s=1.0)
