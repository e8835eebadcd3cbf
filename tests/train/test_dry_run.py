"""Every configuration that ships trains: at its real layout, with narrow networks, to a checkpoint that makes sound."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from stav2a.__main__ import main
from stav2a.data.shards import Shards
from stav2a.media.limits import InputError
from stav2a.media.write_clip import write_clip
from stav2a.train.dry.run import CHECKS, dry_run
from stav2a.train.dry.table import stage_of, text
from stav2a.train.runtime.config import TrainConfig

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
FILES = sorted(CONFIGS.rglob("*.yaml"))
OF_PAPER = [file for file in FILES if file.parent.name == "paper"]


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


@pytest.fixture(scope="module")
def prepared(shards) -> Path:
    return shards(0.0)


def loaded(file: Path, monkeypatch, *words: str) -> TrainConfig:
    """A configuration as it is read in a folder where there are no data of the user's."""
    monkeypatch.chdir(file.parent)
    return TrainConfig.load(file, list(words))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(CONFIGS).as_posix())
def test_every_configuration_trains_without_any_data(file, stand_ins, monkeypatch, tmp_path):
    config = loaded(file, monkeypatch)
    monkeypatch.chdir(tmp_path)
    report = dry_run(stage_of(file, config), config, stand_ins, calculate=False)
    assert report.done == list(CHECKS)
    assert np.isfinite(report.losses).all() and len(report.losses) == 2
    assert not list(tmp_path.iterdir()), "a dry run keeps nothing"


@pytest.mark.parametrize("file", OF_PAPER, ids=lambda file: file.stem)
def test_paper_configurations_train_on_prepared_clips(file, shards, stand_ins, monkeypatch, tmp_path):
    config = loaded(file, monkeypatch)
    prepared = shards(config.fps)
    monkeypatch.chdir(tmp_path)
    if config.bank:
        config.bank = str(prepared)
    else:
        config.options["shards"] = str(prepared)
    report = dry_run(stage_of(file, config), config, stand_ins, calculate=False)
    assert report.done == list(CHECKS) and str(prepared) in report.data


def test_the_paper_s_v2a_at_its_layout_and_its_cost(stand_ins, monkeypatch, tmp_path):
    """The shapes of §II at their places, and the calculation that docs/training.md tells."""
    config = loaded(CONFIGS / "paper" / "v2a.yaml", monkeypatch)
    report = dry_run("v2a", config, stand_ins)
    shapes = report.shapes
    assert shapes["waveform"] == (2, 163_840) and shapes["cavp_features"] == (2, 40, 512)
    assert shapes["local_features gives"] == (2, 256, 128) and shapes["attentive_pool gives"] == (2, 4, 1024)
    assert shapes["unet gives"] == (2, 8, 256, 16) and shapes["vae.encoder takes"] == (2, 1, 1024, 64)
    cost = report.cost
    assert 265e6 < cost.parameters < 280e6 and 550e6 < cost.frozen < 700e6  # mT5-large's encoder is most of what rests
    assert 700e9 < cost.flop < 780e9 and 0.7e9 < cost.activation_bytes < 1.0e9
    told = text(report)
    assert re.search(r"^ +8 +2 +10 +160 ", told, re.MULTILINE), "8 processes × 2 steps × 10 samples (§III-A)"
    assert "calculated" in told and "data/paper is not here" in told


def test_what_does_not_fit_names_the_part_and_both_numbers(stand_ins, monkeypatch, capsys, tmp_path):
    """The crash that this is for: an onset curve for a ControlNet without a channel for it."""
    from stav2a.train.stages.diffusion import V2AStage

    monkeypatch.setattr(V2AStage, "takes_curve", True)
    config = loaded(CONFIGS / "paper" / "v2a.yaml", monkeypatch)
    with pytest.raises(InputError, match=r"^controlnet\.controlnet_cond_embedding\.conv_out: .*128.*129"):
        dry_run("v2a", config, stand_ins, calculate=False)
    monkeypatch.undo()
    other = tmp_path / "other"
    assert main(["data", "prepare", "foleyworld", "--count", "1", "--model", "tiny", "--out", str(other)]) == 0
    words = ["train", "t2a", "--config", str(CONFIGS / "paper" / "t2a.yaml"), "--dry-run", f"options.shards={other}"]
    assert main(words) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(r"fps of 25.*needs 4", said), said
    assert main(["train", "onset", "--config", str(CONFIGS / "fine_tune" / "compact.yaml"), "--dry-run"]) == 2
    assert "settings of the stage v2a, not of onset" in capsys.readouterr().err


def test_two_processes_have_the_losses_of_one(tmp_path):
    """`torchrun --nproc_per_node 2` on processors: the paper's v2a, the same batch shared."""
    losses = []
    for launcher in ([], ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]):
        command = [sys.executable, *launcher, "-m", "stav2a", "train", "v2a", "--dry-run"]
        command += ["--config", str(CONFIGS / "paper" / "v2a.yaml")]
        settings = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "TQDM_DISABLE": "1"}
        done = subprocess.run(command, cwd=tmp_path, env={**os.environ, **settings}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        losses.append([float(number) for number in re.search(r"two steps: loss (\S+), (\S+);", done.stdout).groups()])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def test_the_table_has_a_row_for_every_file(stand_ins, capsys):
    from stav2a.train.dry.table import main as table

    files = [str(CONFIGS / "tiny" / f"{name}.yaml") for name in ("vae", "t2a")]
    assert table(files) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| configuration | stage | shapes | step | validation | resume | export | sample | |"
    assert [line.split(" | ")[:8] for line in lines[2:]] == [
        [f"| tiny/{name}.yaml", name, *["yes"] * 6] for name in ("vae", "t2a")
    ]
