"""Every command of the README and of docs/ does what its page says, as it is written, in a folder of its own.

The files are read as they are: a new command is run by its next test. Three tables say all that differs from a person's
own run: `SIZES` makes runs short, `MARKED` names what cannot run here with the reason and another check of it, and
`OPENERS` tells commands from other text in a block.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from accelerate.state import AcceleratorState

import stav2a.__main__ as command_line
from stav2a.media.write_clip import write_clip
from stav2a.train.dry.every import stage_of
from stav2a.train.dry.stand_in import write_bank
from stav2a.train.registry import make_stage
from stav2a.train.runtime.config import TrainConfig

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
IN_ORDER = ("training.md", "systems.md")  # the second goes on from the parts that the first has made
BLOCK = re.compile(r"^ *```[ \t]*(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
OPENERS = ("python ", ".venv/bin/python ", "accelerate ", "torchrun ", "cp ", "mkdir ", "rm ", "export ", "make ",
           "git ", "hf ", "pip ", "docker ", "OMP_NUM_THREADS=")  # fmt: skip

STAGES = "vae|vocoder|onset|t2a|v2a|distill|vta-ldm|tiva-layout|tiva|cvalp|ta-v2a|alignment"
SHORT = "steps=1 batch_size=2 crop_s=0.64 warmup=1 validation_batches=1 workers=0"
SIZES = (  # (what, what instead): a run of seconds; what is trained anew takes the smallest size
    (r" (--)?sprites[= ]SPRITES", ""),
    (r"--count \d+", "--count 2"),
    (r"--duration [\d.]+", "--duration 1.28 --size 32"),
    (r"--workers \d+", "--workers 1"),
    (rf"(-m stav2a train (?:{STAGES}) .*bank=BANK.*)", rf"\1 model=tiny {SHORT}"),
    (r"(-m stav2a train distill .*)", r"\1 options.heard_clips=1 options.rank=2"),
    (r"(-m stav2a train distill (?!.*options.base).*)", r"\1 options.base=my_compact"),
    (r"(-m stav2a train (?:onset|t2a|v2a|vta-ldm|tiva-layout|tiva|ta-v2a|alignment) .*)", r"\1 options.heard_clips=1"),
    (r"(-m stav2a train (?:t2a|v2a|vta-ldm|tiva-layout|tiva|ta-v2a|alignment) .*)", r"\1 options.trained_unet=null"),
    (r"(-m stav2a train (?:v2a .*fine_tune|onset .*parts=runs/mine).*)", rf"\1 {SHORT}"),
    (
        r"model=compact parts=runs/(?!mine)(.*out=runs/.*options.system.*)",
        r"model=tiny parts=runs/\1 options.base=../../my_compact",
    ),
    (
        r"model=compact parts=runs/(?!mine)(.*options.system.*)",
        r"model=tiny parts=runs/\1 options.base=../../../my_compact",
    ),
    (r"model=compact parts=runs/(?!mine)", "model=tiny parts=runs/"),
    (r"(-m stav2a generate .*)", r"\1 --steps 2"),
)

MARKED = (  # (what, why it does not run here, how it is checked instead)
    (r"^accelerate launch|^torchrun", "several processes; tests/train runs two", "trains"),
    (r"--config configs/paper", "paper size; tests/train/test_dry_run.py runs it dry", "trains"),
    (r"(parts|of)=\[?runs/(paper|first)|^cp -r runs/paper|^rm -r runs/paper", "goes on from runs of days", "parses"),
    (r"vggsound\.csv|my_captioned_sounds", "a data set of its own", "parses"),
    (r"stav2a weights", "the hub", "offline"),
    (r"stav2a publish (?!.*--dry-run)", "an account of the hub; tests/commands sends it to one here", "parses"),
    (r"stav2a (report|dials|systems|retrieval|steering|bench)", "long; own tests", "parses"),
    (r"stav2a (evaluate|real-clips|describer|study|example)", "long; own tests", "parses"),
    (r"--reference my_hammer", "a sound of one's own; tests/generation runs it", "parses"),
    (r"prepare foleyworld|data shelf", "tests of its own", "parses"),
    (r"train classifier", "tests/train/test_dry_run.py runs it dry", "parses"),
    (r"stav2a (serve|generate clip\.mp4 --out made|onsets)|app\.py", "tests/ui and tests/generation run it", "parses"),
    (r"python -m (pytest|stav2a\.)|tests/helpers|^OMP_NUM_THREADS", "a tool of its own", "exists"),
    (r"^(make|git|hf|pip|export|docker) |-m venv", "the shell, the network or the reader's own account", "nothing"),
)  # fmt: skip


def commands(document: Path) -> list[str]:
    """Commands of a document, in order; a line that ends in a backslash goes on, comments are left out."""
    found = []
    for language, block in BLOCK.findall(document.read_text(encoding="utf-8")):
        if language not in ("", "bash", "sh", "console"):
            continue
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            line = re.sub(r"\s+#.*$", "", line.strip())
            if line.startswith(OPENERS):
                found.append(re.sub(r"^\.venv/bin/python", "python", line))
    return found


def sized(command: str) -> str:
    for what, instead in SIZES:
        command = re.sub(what, instead, command)
    return command


def mark(command: str) -> tuple[str, str] | None:
    """Why a command does not run here, and how it is checked; None where it runs."""
    return next((rest for what, *rest in MARKED if re.search(what, command)), None)


def words(command: str) -> list[str]:
    """What follows `-m stav2a` in a command."""
    split = shlex.split(command)
    return split[split.index("stav2a") + 1 :]


def parsed(argv: list[str], monkeypatch) -> argparse.Namespace:
    """The arguments as the command line takes them, without running them."""
    with monkeypatch.context() as here:
        taken: list[argparse.Namespace] = []
        here.setattr(command_line, "run", lambda module, args: taken.append(args) or 0)
        assert command_line.main(argv) == 0
    return taken[0]


def check(command: str, how: str, monkeypatch, capsys) -> None:
    """What can be said of a command that does not run here."""
    if how == "nothing":
        return
    if how == "exists":
        module = re.search(r"-m (stav2a[\w.]*)", command)
        script = re.search(r"tests/[\w/.]+", command)
        place = module[1].replace(".", "/") if module else script[0] if script else "tests"
        assert (ROOT / place).exists() or (ROOT / f"{place}.py").exists(), command
        return
    if "-m stav2a" not in command:  # a shell's line beside them
        return
    args = parsed(words(command), monkeypatch)
    if how == "trains":
        config = TrainConfig.load(args.config, args.settings)
        assert args.stage in (stage_of(Path(args.config), config), "onset"), command
        assert callable(make_stage)
    if how == "offline" and args.action in ("fetch", "convert"):
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        capsys.readouterr()
        assert command_line.main(words(command)) == 2
        said = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
        assert len(said) == 1 and said[0].endswith("."), f"{command}: one sentence, not {said}"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """What the documents take for granted: a clip, videos of one's own, a sound bank; the shipped files beside them."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "configs", folder / "configs")  # copies: a command may write where it reads
    for name in ("compact", "examples"):
        shutil.copytree(ROOT / "assets" / name, folder / "assets" / name)
    rng = np.random.default_rng(0)
    frames = np.zeros((64, 48, 64, 3), np.uint8) + rng.integers(0, 255, (64, 1, 1, 3)).astype(np.uint8)
    wave = (rng.standard_normal(41_000) * (np.arange(41_000) % 12_000 < 600) * 0.3).astype(np.float32)
    (folder / "my_videos").mkdir()
    for video in (folder / "clip.mp4", *(folder / "my_videos" / f"{k}.mp4" for k in range(3))):
        write_clip(video, frames, 25.0, wave)
    write_bank(folder / "BANK", 16_000)
    (folder / "SPRITES").mkdir()  # named by `data credits`; clips are rendered without
    (folder / "SPRITES" / "manifest.csv").write_text("path,source,licence\nfrog.png,a set: frog.png,CC0\n")
    return folder


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    "documents",
    [*([d] for d in DOCUMENTS if d.name not in IN_ORDER), [ROOT / "docs" / name for name in IN_ORDER]],
    ids=lambda documents: "+".join(d.name for d in documents),
)
def test_commands_do_what_the_page_says(documents, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    for name in ("HF_HOME", "HF_HUB_CACHE", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setattr("stav2a.weights.fetch.home", lambda: place / "hub")
    for command in [command for document in documents for command in commands(document)]:
        if marked := mark(command):
            check(command, marked[1], monkeypatch, capsys)
            continue
        short = sized(command)
        AcceleratorState._reset_state(reset_partial_state=True)  # a person's commands are processes of their own
        capsys.readouterr()
        if "-m stav2a" in short:
            assert command_line.main(words(short)) == 0, f"{command}\nas {short}\n{capsys.readouterr().err[-1500:]}"
        else:
            done = subprocess.run(short, shell=True, cwd=place, capture_output=True, text=True)
            assert done.returncode == 0, f"{command}\n{done.stderr}"


def test_every_page_is_read_and_every_mark_is_used():
    found = [command for document in DOCUMENTS for command in commands(document)]
    assert len(found) > 50 and sum(mark(command) is None for command in found) >= 20
    for what, why, how in MARKED:
        assert any(re.search(what, command) for command in found), f"no command is {what}: {why}, {how}"
