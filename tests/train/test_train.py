"""The training loop: settings that say what is wrong, exact resume, the same curve however the batch is shared."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from accelerate import Accelerator
from accelerate.utils import LoggerType
from parallel_training import contrast, in_two_processes, settings, train_vae
from PIL import Image
from safetensors.torch import load_file
from tone_bank import write_bank

from stav2a.media.limits import InputError
from stav2a.train.runtime.checkpoint import EMA, checkpoints
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.loop import Indexed, Share, train
from stav2a.train.runtime.machine import agreed
from stav2a.train.runtime.stage import noise_for, spread_for
from stav2a.train.runtime.tracking import show
from stav2a.train.stages.vae import VAEStage


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    return write_bank(tmp_path_factory.mktemp("bank"))


def config(tmp_path, bank="", **changes) -> TrainConfig:
    base = settings(tmp_path, bank).to_dict()
    return TrainConfig.checked({**base, "steps": 4, "batch_size": 2, "save_every": 2, "validate_every": 4, **changes})


def vae_run(folder, bank, **changes):
    """-> (measures, last weights, training losses)."""
    chosen = config(folder, bank, **changes)
    torch.manual_seed(0)
    measures = train(VAEStage(chosen), chosen)
    return measures, load_file(checkpoints(folder / "runs" / "vae")[-1] / "model.safetensors"), losses(folder)


def losses(folder) -> list[float]:
    lines = map(json.loads, (folder / "runs" / "vae" / "log.jsonl").open())
    return [line["main/loss"] for line in lines if "main/loss" in line]


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path, bank):
    _, whole, _ = vae_run(tmp_path / "whole", bank)
    # an interrupted run: its schedule is that of four steps, stopped by losing the later checkpoint
    vae_run(tmp_path / "parted", bank)
    shutil.rmtree(checkpoints(tmp_path / "parted" / "runs" / "vae")[-1])
    _, resumed, _ = vae_run(tmp_path / "parted", bank)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


class Drops(VAEStage):
    """Draws from the global generator as dropout does, and asks for its own end once."""

    stop_at = -1

    def sample(self, split, index):
        if split == "train" and index == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().sample(split, index)

    def forward(self, batch, phase="main"):
        losses = super().forward(batch, phase)
        if self.training:
            losses["loss"] = losses["loss"] * torch.rand(())
        return losses


def test_sigterm_saves_and_the_rest_is_as_if_nothing_had_happened(tmp_path, bank):
    ends = []
    for name, stop_at in (("whole", -1), ("parted", 1)):
        chosen = config(tmp_path / name, bank, save_every=100)
        torch.manual_seed(0)
        first = Drops(chosen)
        first.stop_at = stop_at
        train(first, chosen)
        found = checkpoints(tmp_path / name / "runs" / "vae")[-1]
        if name == "parted":
            assert found.name == "checkpoint-00000001"
            train(Drops(chosen), chosen)
            found = checkpoints(tmp_path / name / "runs" / "vae")[-1]
        assert found.name == "checkpoint-00000004"
        ends.append(load_file(found / "model.safetensors"))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


class InAGroup(VAEStage):
    """Ends its group, as torchrun and Ctrl-C do, from a loader's process; what else runs in that group is spared."""

    def sample(self, split, index):
        if split == "train" and index == 2:
            training = os.getppid()
            if os.getpgrp() == os.getpgid(training):
                os.kill(os.getpid(), signal.SIGKILL)
            os.kill(training, signal.SIGTERM)
        return super().sample(split, index)


def test_a_signal_to_the_group_saves_although_processes_load(tmp_path, bank):
    chosen = config(tmp_path, bank, save_every=100, steps=1000, workers=1)
    train(InAGroup(chosen), chosen)
    (found,) = checkpoints(tmp_path / "runs" / "vae")
    assert found.name != "checkpoint-00001000"


def same_curve_and_weights(folder, wanted) -> None:
    torch.testing.assert_close(losses(folder), losses(wanted), rtol=1e-5, atol=1e-5)
    one, two = (load_file(f / "runs/vae/checkpoint-00000003/ema.safetensors") for f in (wanted, folder))
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_split_weights_give_the_curve_of_one_process_and_go_on(tmp_path, bank):
    """FSDP on two CPU processes: the same losses, whole checkpoints that it and one process resume, an export."""
    train_vae(tmp_path / "one", bank)
    in_two_processes(tmp_path / "split", bank, "fsdp")
    same_curve_and_weights(tmp_path / "split", tmp_path / "one")
    exported = [load_file(tmp_path / n / "parts/vae/diffusion_pytorch_model.safetensors") for n in ("one", "split")]
    for name, value in exported[0].items():
        torch.testing.assert_close(exported[1][name], value, rtol=1e-3, atol=1e-5)
    # a checkpoint of one process, taken up by two that split it
    shutil.copytree(tmp_path / "one", tmp_path / "taken_up")
    in_two_processes(tmp_path / "taken_up", bank, "fsdp", "steps=5", "save_every=5", "validate_every=5")
    chosen = settings(tmp_path / "one", bank, steps=5, save_every=5, validate_every=5)
    train(VAEStage(chosen), chosen)
    ends = [load_file(tmp_path / n / "runs/vae/checkpoint-00000005/model.safetensors") for n in ("one", "taken_up")]
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_two_processes_give_the_curve_of_one(tmp_path, bank):
    """Two CPU processes (gloo), started as accelerate starts them: the same effective batch, the same losses."""
    train_vae(tmp_path / "one", bank)
    in_two_processes(tmp_path / "two", bank)
    same_curve_and_weights(tmp_path / "two", tmp_path / "one")
    loss, gradient = contrast(0, 1)
    wanted = torch.cat([loss[None], gradient.flatten()])
    both = torch.load(tmp_path / "two" / "contrast.pt", weights_only=True)
    torch.testing.assert_close(both, wanted, rtol=1e-4, atol=1e-5)


def test_accumulated_steps_give_the_curve_of_whole_ones(tmp_path, bank):
    _, whole, at_once = vae_run(tmp_path / "whole", bank, steps=3, batch_size=4)
    _, parted, in_parts = vae_run(tmp_path / "parted", bank, steps=3, batch_size=4, micro_batch_size=1)
    torch.testing.assert_close(in_parts, at_once, rtol=1e-5, atol=1e-5)
    for name in whole:
        torch.testing.assert_close(parted[name], whole[name], rtol=1e-3, atol=1e-5)


def test_one_process_agrees_with_itself():
    assert agreed(Accelerator(cpu=True), True, 1.25) == (True, 1.25)


def test_a_checkpoint_of_another_size_is_told_in_a_sentence(tmp_path, bank):
    vae_run(tmp_path, bank)
    chosen = config(tmp_path, bank, model="compact")
    with pytest.raises(InputError, match=r"checkpoint-00000004 holds a model of another size.*choose another"):
        train(VAEStage(chosen), chosen)
    (checkpoints(tmp_path / "runs" / "vae")[-1] / "optimizer.pt").unlink()
    chosen = config(tmp_path, bank)
    with pytest.raises(InputError, match=r"incomplete: optimizer\.pt is missing"):
        train(VAEStage(chosen), chosen)


def test_the_best_validation_loss_is_kept(tmp_path, bank, monkeypatch):
    exported = []
    monkeypatch.setattr(VAEStage, "export", lambda self, folder: exported.append(len(exported)))
    seen = iter([0.5, 0.7, 0.4, 0.6])
    monkeypatch.setattr("stav2a.train.runtime.loop.validate", lambda *args: {"loss": next(seen)})
    vae_run(tmp_path, bank, validate_every=1, keep_best=True)
    assert len(exported) == 2


def test_tensorboard_gets_numbers_and_settings(tmp_path, bank):
    pytest.importorskip("tensorboard")
    vae_run(tmp_path, bank, trackers=["tensorboard"], options={"kl_weight": 1e-4})
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "runs" / "vae" / "vae"))
    events.Reload()
    assert {"main/loss", "validation/loss"} <= set(events.Tags()["scalars"])
    assert [e.step for e in events.Scalars("main/loss")] == [1, 2, 3, 4]


def test_trackio_gets_numbers_and_settings(tmp_path, bank, monkeypatch):
    """A stand-in with trackio's calls, installed as a package would be."""
    folder = tmp_path / "packages"
    (folder / "trackio").mkdir(parents=True)
    (folder / "trackio" / "__init__.py").write_text(TRACKIO)
    (folder / "trackio-1.0.dist-info").mkdir()
    (folder / "trackio-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: trackio\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr("accelerate.tracking._available_trackers", [LoggerType.TRACKIO])  # filled at its import
    vae_run(tmp_path, bank, trackers=["trackio"], options={"kl_weight": 1e-4})
    import trackio

    kinds = [kind for kind, _ in trackio.CALLS]
    assert kinds[0] == "init" and kinds[-1] == "finish"
    assert dict(trackio.CALLS)["config"]["options.kl_weight"] == 1e-4
    logged = [values for kind, values in trackio.CALLS if kind == "log"]
    assert sum("main/loss" in values for values in logged) == 4
    assert any("validation/loss" in values for values in logged)


TRACKIO = """
CALLS = []

class config:
    update = staticmethod(lambda values, allow_val_change=False: CALLS.append(("config", values)))

class Run:
    def log(self, values, **how):
        CALLS.append(("log", values))

    def finish(self):
        CALLS.append(("finish", None))

def init(project, **how):
    CALLS.append(("init", project))
    return Run()
"""


def test_tensorboard_gets_what_a_validation_has_written(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    samples = tmp_path / "samples"
    samples.mkdir()
    Image.new("RGB", (8, 4), "red").save(samples / "00.png")
    soundfile.write(samples / "00.wav", np.zeros(800, np.float32), 16_000)
    with SummaryWriter(str(tmp_path / "events")) as writer:
        one_process = SimpleNamespace(is_main_process=True, get_tracker=lambda name, unwrap: writer)
        show(one_process, TrainConfig(trackers=["tensorboard"]), samples, 7)
    events = EventAccumulator(str(tmp_path / "events")).Reload()
    assert [event.step for event in events.Images("00")] == [event.step for event in events.Audio("00")] == [7]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"trackers": ["wandb"]}, "no tracker 'wandb'"),
        ({"optimizer": "adamw8bit"}, "pip install bitsandbytes"),
        ({"gradient_checkpointing": True}, None),
    ],
)
def test_what_is_not_there_is_told(tmp_path, bank, monkeypatch, changes, sentence):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setattr("stav2a.train.runtime.machine.find_spec", lambda name: None)
    chosen = config(tmp_path, bank, steps=1, **changes)
    if sentence is None:  # the auto-encoder knows checkpointing of activations
        train(VAEStage(chosen), chosen)
        return
    with pytest.raises(InputError, match=sentence):
        train(VAEStage(chosen), chosen)


def test_processes_share_every_sample_once_and_in_order():
    shares = [Share(40, 100, micro=5, rank=rank, processes=3) for rank in range(3)]
    assert list(shares[1]) == [*range(45, 50), *range(60, 65), *range(75, 80), *range(90, 95)]
    assert sorted(index for share in shares for index in share) == list(range(40, 100))
    assert list(Share(0, 0, 5)) == []


def test_the_index_of_a_long_run_costs_no_memory():
    share = Share(0, 80_000_000, micro=10, rank=3, processes=8)
    dataset = Indexed(SimpleNamespace(sample=lambda split, index: {}), "train", share)
    assert len(dataset) == 10_000_000
    assert int(dataset[9_999_999]["index"]) == 80_000_000 - 41
    assert len(pickle.dumps(share)) < 1000  # what a loader's process is sent


def test_noise_follows_the_sample_not_the_batch():
    both = noise_for([3, 9], (2, 2), 0, "noise")
    assert torch.equal(both[1], noise_for([9], (2, 2), 0, "noise")[0])
    assert not torch.equal(both[0], both[1])


def test_time_steps_of_neighbours_are_spread():
    drawn = spread_for(range(80_000), 0, "timestep")
    assert drawn.min() >= 0 and drawn.max() < 1
    assert torch.equal(drawn[[3, 9]], spread_for([3, 9], 0, "timestep")), "follows the sample, not the batch"
    batches = drawn.view(-1, 8).sort(1).values
    assert batches.diff(dim=1).min() > 0.05, "no two of a batch meet"
    assert torch.histc(drawn, 20, 0, 1).sub(4000).abs().max() < 40, "all of them are as frequent"


def test_ema_leaves_what_is_frozen_alone():
    rests, learns = torch.nn.BatchNorm1d(2).requires_grad_(False), torch.nn.BatchNorm1d(2)
    module = torch.nn.Sequential(rests, learns)
    rests.running_var.fill_(torch.inf)  # a mean would make it NaN
    ema = EMA(module, 0.9)
    ema.update(module)
    assert not any(name.startswith("0.") for name in ema.average)
    assert {"1.weight", "1.bias", "1.running_mean", "1.running_var"} <= set(ema.average)
    with ema.swapped_in(module):
        assert torch.isinf(rests.running_var).all()


def test_ema_warms_up_and_swaps_back():
    module = torch.nn.Linear(1, 1)
    ema = EMA(module, 0.999)
    before = module.weight.detach().clone()
    with torch.no_grad():
        module.weight += 1
    ema.update(module)
    with ema.swapped_in(module):
        inside = module.weight.detach().clone()
    assert torch.equal(module.weight, before + 1)
    torch.testing.assert_close(inside, before + (1 - 2 / 11))
