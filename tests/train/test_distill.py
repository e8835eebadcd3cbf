"""Stage `distill`: the teacher's trajectory, what learns, the checkpoint that it makes, and who is served by it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.utils.data import default_collate
from untrained_parts import untrained_parts

from stav2a.denoise.few_steps import distilled_sampler, step_coefficients
from stav2a.denoise.request import Request
from stav2a.denoise.sample import set_steps
from stav2a.dials import Dials
from stav2a.models.build import CLASSES
from stav2a.models.defaults import model_defaults
from stav2a.models.distilled import is_of, open_distilled
from stav2a.pipeline import STAV2APipeline
from stav2a.train.registry import make_stage
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.loop import train
from stav2a.train.runtime.parts import assemble, note_default

CONFIGS = Path(__file__).parents[2] / "configs"
OWN = {
    "steps": 6, "distilled_steps": 2, "guidance_scale": 4.0, "video_guidance_scale": 4.0, "guided_share": 0.5,
    "guidance_rescale": 0.85, "timestep_power": 1.75, "strength": 0.85, "eventless_negative_prompt": "silence",
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """Untrained tiny parts with the sampling defaults of a checkpoint."""
    folder = tmp_path_factory.mktemp("base")
    untrained_parts(folder, controls=True)
    for name, value in OWN.items():
        note_default(folder, name, value)
    return folder


def config_of(base: Path, place: Path, *words: str) -> TrainConfig:
    config = TrainConfig.load(
        CONFIGS / "tiny" / "distill.yaml", [f"parts={place}/parts", f"out={place}/logs", "crop_s=1.28", *words]
    )
    config.options.update({"base": str(base), "rank": 2, "heard_clips": 0})
    return config


@pytest.fixture(scope="module")
def stage(base, tmp_path_factory):
    return make_stage("distill", config_of(base, tmp_path_factory.mktemp("stage")))


@pytest.fixture(scope="module")
def batch(stage) -> dict:
    return default_collate([{**stage.sample("train", k), "index": torch.tensor(k)} for k in range(4)])


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory) -> Path:
    """A folder of parts after three steps."""
    place = tmp_path_factory.mktemp("trained")
    config = config_of(base, place, "steps=3", "batch_size=2", "validate_every=2", "validation_batches=1", "lr=0.01")
    train(make_stage("distill", config), config)
    return place / "parts"


def test_the_student_learns_where_the_teacher_s_own_steps_lead(stage, batch):
    """Each step of the student's own sampler lies on the teacher's grid."""
    encoded = stage.encode_batch(batch)
    latents = stage.latents(batch["waveform"])
    conditions = stage.compared(stage.conditions(encoded, latents.shape[2]))
    for strength in (1.0, 0.85, 0.5, 0.31):
        timesteps, reached = stage.trajectory(batch["index"], latents, conditions, strength, (4.0, 4.0))
        assert len(timesteps) == 6 and len(reached) == 6 + 1
        if strength in (1.0, 0.85):
            for steps in (1, 2, 3):
                own = set_steps(distilled_sampler(stage.scheduler), steps, "cpu", 1.75, strength).tolist()
                assert own == timesteps[:: 6 // steps][: len(own)]
    start = torch.full((4,), timesteps[0])
    a, b = step_coefficients(stage.scheduler, start, torch.full((4,), timesteps[2]))
    target = (reached[2] - a[:, None, None, None] * reached[0]) / b[:, None, None, None]
    torch.testing.assert_close(a[0] * reached[0] + b[0] * target, reached[2])


def test_only_the_student_learns_and_losses_repeat(stage, batch):
    losses = [stage(batch)["loss"] for _ in range(2)]
    assert losses[0].item() == losses[1].item() > 0
    losses[0].backward()
    learning = {name for name, p in stage.named_parameters() if p.grad is not None}
    assert learning and all(name.startswith("student.") for name in learning)
    assert any(name.startswith("student.time_embedding.cond_proj.") for name in learning)
    stage.zero_grad(set_to_none=True)


def test_pictures_without_onsets_are_led_away_from_silence(stage, batch):
    """As the checkpoint samples: neither a caption nor an onset, but a picture."""
    conditions = stage.conditions(stage.encode_batch(batch), 32)
    words = stage.encode_text(["", "", "", "a dog barks"])
    curve = torch.zeros_like(conditions.onset_curve)
    curve[1, 5] = 1
    local = torch.ones_like(conditions.local_features)
    local[2] = 0
    bare = replace(
        conditions, text_tokens=words.text_tokens, text_mask=words.text_mask, onset_curve=curve, local_features=local
    )
    compared = stage.compared(bare)
    silence, nothing = (stage.encode_text([words]).text_mask.sum() for words in ("silence", ""))
    assert compared.null_text_mask.sum(1).tolist() == [silence, nothing, nothing, nothing]


def test_a_stage_without_a_trained_teacher_is_refused(base, tmp_path):
    config = config_of(base, tmp_path)
    config.options["freeze_control"] = False
    with pytest.raises(ValueError, match="trained model"):
        make_stage("distill", config)


def test_the_teacher_s_steps_must_meet_the_student_s(base, tmp_path):
    config = config_of(base, tmp_path)
    config.options["teacher_steps"] = 8
    with pytest.raises(ValueError, match="multiple of 6"):
        make_stage("distill", config)


def test_parts_hold_the_change_alone(trained, base):
    stored = load_file(trained / "distilled_unet" / "diffusion_pytorch_model.safetensors")
    whole = load_file(base / "unet" / "diffusion_pytorch_model.safetensors")
    assert sum(t.numel() for t in stored.values()) < sum(t.numel() for t in whole.values())
    assert str(trained) not in (trained / "distilled_unet" / "config.json").read_text()
    student = open_distilled(trained).state_dict()
    assert any(not torch.equal(student[name], weight) for name, weight in whole.items())


def test_a_resumed_run_is_the_same_as_one_without_a_stop(base, tmp_path):
    """Its student starts as the first time, although `parts` holds what it has learnt so far."""
    found = []
    for name, stops in (("stopped", (2, None)), ("through", (None,))):
        words = ("steps=3", "batch_size=2", "validate_every=2", "validation_batches=1", "lr=0.01")
        config = config_of(base, tmp_path / name, *words)
        for until in stops:
            train(make_stage("distill", config), config, until)
        found.append(open_distilled(tmp_path / name / "parts").state_dict())
    for name, weight in found[0].items():
        assert torch.equal(weight, found[1][name]), name


def test_a_second_round_goes_on_from_the_first(trained, base, tmp_path):
    config = config_of(base, tmp_path)
    config.options["student"] = str(trained)
    stage = make_stage("distill", config)
    config.options["student"] = str(tmp_path)
    with pytest.raises(ValueError, match="no distilled_unet"):
        make_stage("distill", config)
    first = open_distilled(trained)
    width = first.config.cross_attention_dim
    seen = torch.randn(1, 8, 32, 16), torch.tensor(500), torch.randn(1, 3, width), torch.randn(1, width)
    told = torch.randn(1, first.config.time_cond_proj_dim)
    with torch.no_grad():
        again, before = (unet.eval()(*seen, timestep_cond=told).sample for unet in (stage.student, first))
    torch.testing.assert_close(again, before)


def test_the_checkpoint_serves_few_steps_and_takes_the_teacher_else(trained, tmp_path):
    pipe = STAV2APipeline.from_pretrained(assemble(trained, "tiny", tmp_path / "model", half=True))
    frames = np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3), dtype=np.uint8)
    video = pipe.encode_video(frames)

    def ways(**dials) -> tuple[bool, int]:
        *_, item = finished(pipe.prepare([Request(video, Dials(prompt="a knock", **dials))]))
        return item.distilled, item.sampling["steps"]

    assert ways() == (True, 2) and ways(steps=3) == (True, 3) and ways(guidance_scale=7.0) == (True, 2)
    assert ways(steps=4) == (False, 4)
    assert ways(negative_prompt="speech") == (False, 6) and ways(negative_prompt="speech", steps=2) == (False, 6)
    assert ways(negative_prompt="speech", steps=5) == (False, 5) and ways(sampler="ddim", steps=1) == (False, 6)

    def sound(**dials) -> np.ndarray:
        return pipe(video, "a knock", strength=1.0, **dials).waveforms

    assert np.array_equal(sound(), sound()) and np.isfinite(sound()).all()
    own = sound()
    for changed in ({"guidance_scale": 8.0}, {"video_guidance_scale": 8.0}, {"num_inference_steps": 1}, {"seed": 1}):
        assert not np.array_equal(own, sound(**changed)), changed
    both = pipe([video, video], ["a knock"] * 2, ["", "speech"], strength=1.0)
    np.testing.assert_allclose(both[0].waveforms, own, atol=1e-4)
    plain = STAV2APipeline.from_pretrained(tmp_path / "model", distilled_unet=None)
    assert plain.defaults["steps"] == 6 == model_defaults(str(tmp_path / "model"))["undistilled_steps"]
    (item,) = finished(plain.prepare([Request(video, Dials(steps=2))]))
    assert item.sampling["steps"] == 2 and not item.distilled  # without such a network few steps are what they are
    assert plain.distilled_unet is None and not np.array_equal(plain(video, "a knock", strength=1.0).waveforms, own)


def test_less_of_the_difference_takes_less_room(trained, tmp_path):
    sizes = []
    for share in (None, 0.5):
        folder = assemble(trained, "tiny", tmp_path / str(share), half=True, low_rank=share)
        sizes.append((folder / "distilled_unet" / "diffusion_pytorch_model.safetensors").stat().st_size)
        assert STAV2APipeline.from_pretrained(folder).distilled_unet is not None
    assert sizes[1] < sizes[0]


def test_saving_a_pipeline_keeps_its_distilled_network(trained, tmp_path):
    pipe = STAV2APipeline.from_pretrained(assemble(trained, "tiny", tmp_path / "model"))
    pipe.save_pretrained(tmp_path / "again")
    again = STAV2APipeline.from_pretrained(tmp_path / "again")
    for name, weight in pipe.distilled_unet.state_dict().items():
        torch.testing.assert_close(again.distilled_unet.state_dict()[name], weight)


def test_a_network_distilled_from_other_weights_is_left_out(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "parts")
    unet = CLASSES["unet"].from_pretrained(tmp_path / "parts" / "unet")
    assert is_of(tmp_path / "parts", unet)
    with torch.no_grad():
        unet.conv_in.weight += 0.1
    unet.save_pretrained(tmp_path / "parts" / "unet")
    assert not is_of(tmp_path / "parts", unet)
    folder = assemble(tmp_path / "parts", "tiny", tmp_path / "model")
    assert not (folder / "distilled_unet").exists() and model_defaults(str(folder))["steps"] == 6
    assert STAV2APipeline.from_pretrained(folder).distilled_unet is None


def finished(stream) -> list:
    """What a generator returns at its end."""
    while True:
        try:
            next(stream)
        except StopIteration as stop:
            return stop.value
