"""What a training refuses: one sentence that names the folder, the part and both numbers, and nothing left behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from diffusers import AutoencoderKL
from untrained_parts import untrained_parts

from stav2a.__main__ import main
from stav2a.data.prepare import PrepareSettings, Rendered, prepare
from stav2a.models.build import build

CONFIGS = Path(__file__).parents[2] / "configs" / "tiny"


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    untrained_parts(folder)
    return folder


@pytest.fixture
def train(parts, tmp_path, monkeypatch, capsys):
    """`train(stage, *words)` in an empty folder, on a copy of the parts: the last line of what is said."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(parts, "parts")

    def run(stage: str, *words: str) -> str:
        settings = ["--config", str(CONFIGS / f"{stage}.yaml"), "parts=parts", "out=logs", *words]
        assert main(["train", stage, *settings]) == 2
        said = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
        assert not list(Path().rglob("*.safetensors.tmp")) and not list(Path("parts").glob(".*"))
        return said[-1]

    return run


def clips(folder: Path, *splits: str, fps: float | None = None) -> Path:
    world = {"duration_s": 1.28, "fps": fps or 25.0, "size": 32, "split": "train"}
    sources = [Rendered(number, split) for number, split in enumerate(splits)]
    list(prepare(folder, sources, PrepareSettings(model="tiny", fps=fps, world=world)))
    return folder


@pytest.mark.parametrize("how", [[], ["--dry-run"]], ids=["train", "dry run"])
def test_parts_of_another_width(train, how):
    wrong = {"block_out_channels": (8, 8, 16), "norm_num_groups": 4, "layers_per_block": 1, "latent_channels": 4}
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 3, "up_block_types": ("UpDecoderBlock2D",) * 3}
    AutoencoderKL(in_channels=1, out_channels=1, **wrong, **blocks).save_pretrained("parts/vae")
    assert train("t2a", *how) == "The vae in parts/vae has latent_channels of 4; the model tiny needs 8."
    build("vae", "tiny").save_pretrained("parts/vae")
    build("video_encoder", "tiny", feature_dim=24).save_pretrained("parts/video_encoder")
    said = train("v2a", *how)
    assert said == (
        "The local_features in parts/local_features has feature_dim of 16, and the video_encoder in "
        "parts/video_encoder feature_dim of 24: they are not of one model."
    )
    config = Path("parts/video_encoder/config.json")
    config.write_text(config.read_text().replace('"feature_dim": 24', '"feature_dim": 16'))
    assert "weights of video_encoder" in train("v2a", *how) and "[24" in train("v2a", *how)


def test_parts_that_are_not_there(train):
    assert train("t2a", "parts=nowhere") == "nowhere has no vae yet: train the stage that makes it first."
    assert not Path("nowhere").exists()
    Path("parts/vae/diffusion_pytorch_model.safetensors").unlink()
    assert "parts/vae has no weights" in train("t2a")


@pytest.mark.parametrize("how", [[], ["--dry-run"]], ids=["train", "dry run"])
def test_clips_of_another_kind(train, how, tmp_path):
    said = train("t2a", *how, "options.shards=parts")
    assert said == "parts holds no prepared clips: dataset.json is missing."
    one = clips(tmp_path / "one", "train")
    assert train("t2a", *how, f"options.shards={one}") == f"{one} holds no clips of the split val that can be used."
    slow = clips(tmp_path / "slow", "train", "val", fps=10.0)
    assert f"The clips of {slow} have a fps of 10; this model needs 25" in train("t2a", *how, f"options.shards={slow}")


def test_a_full_disk_leaves_what_was_there(train, parts):
    """The system refuses to write more than 20 kB to a file: weights and checkpoints are larger."""
    resource = pytest.importorskip("resource")
    before = {file: file.read_bytes() for file in Path("parts").rglob("*") if file.is_file()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        said = train("onset", "options.heard_clips=0"), train("onset", "options.heard_clips=0", "save_every=1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert set(said) == {"A file could not be written: it is too large."}
    assert {file: file.read_bytes() for file in Path("parts").rglob("*") if file.is_file()} == before
    assert not list(Path("logs").rglob("*checkpoint*"))


def test_a_configuration_of_another_stage(capsys):
    file = str(CONFIGS.parent / "fine_tune" / "compact.yaml")
    assert main(["train", "onset", "--config", file, "--dry-run"]) == 2
    assert "settings of the stage v2a, not of onset" in capsys.readouterr().err
