"""Every configuration that ships trains: at its real layout, with narrow networks, to a checkpoint that makes sound."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from stav2a.__main__ import main
from stav2a.data.shards import Shards
from stav2a.media.limits import InputError
from stav2a.media.write_clip import write_clip
from stav2a.train.dry.every import stage_of
from stav2a.train.dry.report import CHECKS, text
from stav2a.train.dry.run import dry_run
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.parts import text_parts

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
PAPER_V2A = CONFIGS / "paper" / "v2a.yaml"  # has a test of its own
FILES = sorted({*CONFIGS.glob("compact/*.yaml"), *CONFIGS.glob("paper/*.yaml")} - {PAPER_V2A})  # tiny's train whole


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("stand_ins")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Folders of shards by frame rate (0: the paper's), of `data prepare --model paper` on three small videos."""
    folder = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(0)
    for number in range(3):
        frames = rng.integers(0, 255, (100, 32, 48, 3), np.uint8)
        wave = (0.3 * rng.standard_normal(4 * 16_000) * (np.arange(4 * 16_000) % 8000 < 400)).astype(np.float32)
        write_clip(folder / f"{number}.mp4", frames, 25.0, wave)
        (folder / f"{number}.txt").write_text("a hammer strikes a nail")

    @cache
    def made(fps: float) -> Path:
        out = folder / f"shards-{fps:g}"
        words = ["--model", "paper", "--out", str(out), "--least-av-align", "0", "--validation", "0.34"]
        words += ["--workers", "1", *(["--fps", f"{fps:g}"] if fps else [])]
        assert main(["data", "prepare", str(folder), *words]) == 0
        assert len(Shards(out, "train")) == 2 and len(Shards(out, "val")) == 1
        return out

    return made


def loaded(file: Path, monkeypatch, *words: str) -> TrainConfig:
    """A configuration as it is read in a folder where there are no data of the user's."""
    monkeypatch.chdir(file.parent)
    return TrainConfig.load(file, list(words))


OF_SYSTEMS = {
    "vta-ldm",
    "tiva",
    "tiva-layout",
    "cvalp",
    "ta-v2a",
    "alignment",
}  # test_systems_paper.py steps and samples


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(file, marks=[pytest.mark.slow] if file.parent.name == "paper" and file.stem in OF_SYSTEMS else [])
        for file in FILES
    ],
    ids=lambda file: file.relative_to(CONFIGS).as_posix(),
)
def test_every_configuration_trains(file, shards, stand_ins, monkeypatch, tmp_path):
    """The paper's on clips that `data prepare` made of small videos; the others without any data of the user's."""
    config = loaded(file, monkeypatch)
    monkeypatch.chdir(tmp_path)
    data = ""
    if file.parent.name == "paper":
        data = str(shards(config.fps))
        if config.bank:
            config.bank = data
        else:
            config.options["shards"] = data
    report = dry_run(stage_of(file, config), config, stand_ins, calculate=False)
    assert report.done == list(CHECKS) and data in report.data
    assert np.isfinite(report.losses).all() and len(report.losses) == 2
    assert not list(tmp_path.iterdir()), "a dry run keeps nothing"


def test_all_configurations_of_a_folder_make_a_table(monkeypatch, tmp_path, capsys):
    """Without data, in one process."""
    (tmp_path / "tiny").mkdir()
    for name in ("vae", "t2a"):
        shutil.copy(CONFIGS / "tiny" / f"{name}.yaml", tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    assert main(["train", "all", "--dry-run", "--config", "tiny"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| configuration | stage | shapes | step | validation | resume | export | sample | |"
    assert [line.split(" | ")[:8] for line in lines[2:]] == [
        [f"| tiny/{name}.yaml", name, *["yes"] * 6] for name in ("t2a", "vae")
    ]
    assert main(["train", "all", "--config", "tiny"]) == 2
    assert main(["train", "all", "--dry-run", "--config", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"There is no configuration in {tmp_path / 'none'}."


@pytest.fixture(scope="module")
def paper_v2a(stand_ins, tmp_path_factory):
    """The report of the paper's v2a without data, as a process of its own makes it."""
    with pytest.MonkeyPatch.context() as patch:
        config = loaded(PAPER_V2A, patch)
        return dry_run("v2a", config, stand_ins)


def test_the_paper_s_v2a_at_its_layout_and_its_cost(paper_v2a):
    """The shapes of §II at their places, and the calculation that docs/training.md tells."""
    shapes, cost = paper_v2a.shapes, paper_v2a.cost
    assert paper_v2a.done == list(CHECKS) and np.isfinite(paper_v2a.losses).all()
    assert shapes["waveform"] == (2, 163_840) and shapes["cavp_features"] == (2, 40, 512)
    assert shapes["local_features gives"] == (2, 256, 128) and shapes["attentive_pool gives"] == (2, 4, 1024)
    assert shapes["unet gives"] == (2, 8, 256, 16) and shapes["vae.encoder takes"] == (2, 1, 1024, 64)
    assert 265e6 < cost.parameters < 280e6 and 550e6 < cost.frozen < 700e6  # mT5-large's encoder is most of what rests
    assert 700e9 < cost.flop < 780e9 and 0.7e9 < cost.activation_bytes < 1.0e9
    told = text(paper_v2a)
    assert re.search(r"^ +8 +2 +10 +160 ", told, re.MULTILINE), "8 processes × 2 steps × 10 samples (§III-A)"
    assert "calculated" in told and "data/paper is not here" in told
    assert "parts: none in runs/paper yet; untrained ones stand in" in told


@pytest.mark.parametrize(("name", "millions"), [("clip", 63), ("clip-l14", 123), ("flan-t5", 341), (None, 564)])
def test_named_text_encoders_are_counted_at_their_own_size(name, millions):
    """Within 1 % of the published networks' text sides; None: mT5-large, the paper's."""
    with torch.device("meta"):
        _, encoder = text_parts("paper", name=name)
    assert sum(p.numel() for p in encoder.parameters()) / 1e6 == pytest.approx(millions, rel=0.01)
    words = torch.zeros(2, 7, dtype=torch.long, device="meta")
    assert encoder(input_ids=words).last_hidden_state.shape == (2, 7, encoder.config.hidden_size)


def test_what_does_not_fit_names_the_part_and_both_numbers(stand_ins, monkeypatch):
    """The crash that this is for: an onset curve for a ControlNet without a channel for it."""
    from stav2a.train.stages.diffusion import V2AStage

    monkeypatch.setattr(V2AStage, "takes_curve", True)
    config = loaded(CONFIGS / "paper" / "v2a.yaml", monkeypatch)
    with pytest.raises(InputError, match=r"^controlnet\.controlnet_cond_embedding\.conv_out: .*128.*129"):
        dry_run("v2a", config, stand_ins, calculate=False)


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(paper_v2a, tmp_path):
    """`torchrun --nproc_per_node 2` on processors: the paper's v2a, the same batch shared."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "stav2a", "train", "v2a", "--dry-run", "--config", str(CONFIGS / "paper" / "v2a.yaml")]
    settings = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "TQDM_DISABLE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, **settings}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    losses = [float(number) for number in re.search(r"two steps: loss (\S+), (\S+);", done.stdout).groups()]
    np.testing.assert_allclose(losses, paper_v2a.losses, rtol=1e-4)
