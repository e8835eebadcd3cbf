"""Training: settings that say what is wrong, exact resume, and every stage from sound to a checkpoint that opens."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from stav2a.train.checkpoint import EMA, checkpoints
from stav2a.train.config import TrainConfig
from stav2a.train.loop import train
from stav2a.train.stage import noise_for

COLUMNS = "path,class,kind,caption,material,duration_s,onsets,source,licence,split,author,original,group"


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """Six decaying tones, four to train on and two to validate on."""
    folder = tmp_path_factory.mktemp("bank")
    rows = [COLUMNS]
    time = np.arange(8000) / 16000
    for k in range(6):
        wave = 0.7 * np.sin(2 * np.pi * 300 * (k + 1) * time) * np.exp(-8 * time)
        soundfile.write(folder / f"{k}.flac", wave.astype(np.float32), 16000)
        split = "val" if k > 3 else "train"
        rows.append(f"{k}.flac,metal_hit,oneshot,a tone,,0.5,0.0,test,CC0,{split},,{k}.wav,{k}")
    (folder / "manifest.csv").write_text("\n".join(rows))
    return folder


def config(tmp_path, bank="", **changes) -> TrainConfig:
    base = {
        "model": "tiny",
        "parts": str(tmp_path / "parts"),
        "out": str(tmp_path / "runs"),
        "bank": str(bank),
        "steps": 4,
        "batch_size": 2,
        "warmup": 1,
        "log_every": 1,
        "validate_every": 4,
        "validation_batches": 1,
        "save_every": 2,
        "crop_s": 0.64,
    }
    return TrainConfig.checked({**base, **changes})


def vae_run(folder, bank, **changes):
    from stav2a.train.vae import VAEStage

    settings = config(folder, bank, **changes)
    torch.manual_seed(0)
    measures = train(VAEStage(settings), settings)
    return measures, load_file(checkpoints(folder / "runs" / "vae")[-1] / "model.safetensors")


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path, bank):
    _, whole = vae_run(tmp_path / "whole", bank)
    # an interrupted run: its schedule is that of four steps, stopped by losing the later checkpoint
    import shutil

    _, _ = vae_run(tmp_path / "parted", bank)
    shutil.rmtree(checkpoints(tmp_path / "parted" / "runs" / "vae")[-1])
    _, resumed = vae_run(tmp_path / "parted", bank)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_noise_follows_the_sample_not_the_batch():
    both = noise_for([3, 9], (2, 2), 0, "noise")
    assert torch.equal(both[1], noise_for([9], (2, 2), 0, "noise")[0])
    assert not torch.equal(both[0], both[1])


def test_every_stage_makes_its_parts_and_they_assemble(tmp_path, bank):
    from stav2a.pipeline import STAV2APipeline
    from stav2a.train.diffusion import T2AStage, V2AStage
    from stav2a.train.onset import OnsetStage
    from stav2a.train.parts import assemble, build

    vae_run(tmp_path, bank)
    settings = config(tmp_path, steps=2, validate_every=2)
    for kind in (OnsetStage, T2AStage, V2AStage):
        stage = kind(settings)
        before = {n: p.detach().clone() for n, p in stage.named_parameters()}
        measures = train(stage, settings)
        assert np.isfinite(measures["loss"])
        moved = {n for n, p in stage.named_parameters() if not torch.equal(p, before[n])}
        assert moved and all(dict(stage.named_parameters())[n].requires_grad for n in moved)
    build("vocoder", "tiny").save_pretrained(tmp_path / "parts" / "vocoder")
    pipe = STAV2APipeline.from_pretrained(assemble(tmp_path / "parts", "tiny", tmp_path / "model"))
    out = pipe(np.zeros((16, 32, 32, 3), np.uint8), "a tone", num_inference_steps=1)
    assert out.waveforms.shape == (1, 16 * 640)


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


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["stepz=3"], "Unknown setting stepz"),
        (["steps=many"], "steps is 'many'"),
        (["steps=0"], "at least 1"),
        (["steps"], "key=value"),
    ],
)
def test_settings_say_what_is_wrong(words, sentence):
    with pytest.raises(ValueError, match=sentence):
        TrainConfig.load(None, words)


def test_words_win_over_the_file(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("steps: 7\noptions: {kl_weight: 0.5}\n")
    loaded = TrainConfig.load(file, ["steps=9", "options.extra=1"])
    assert loaded.steps == 9 and loaded.options == {"kl_weight": 0.5, "extra": 1}
