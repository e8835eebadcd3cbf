"""Settings of a training: files, words that win over them, and sentences that say what is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stav2a.media.limits import InputError
from stav2a.timeline import COMPACT
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.machine import shares

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["stepz=3"], "Unknown setting stepz"),
        (["steps=many"], "steps is 'many'"),
        (["steps=0"], "at least 1"),
        (["steps"], "key=value"),
        (["model=huge"], "model is 'huge'; it must be one of paper, compact"),
        (["optimizer=sgd"], "optimizer is 'sgd'"),
        (["frame_size=-1"], "frame_size is -1; it must be 0"),
    ],
)
def test_settings_say_what_is_wrong(words, sentence):
    with pytest.raises(ValueError, match=sentence):
        TrainConfig.load(None, words)


@pytest.mark.parametrize("text", ["a: [", "- 1"])
def test_a_file_that_holds_no_settings_is_told(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"a\.yaml"):
        TrainConfig.load(tmp_path / "a.yaml")


def test_words_win_over_the_file(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("steps: 7\noptions: {kl_weight: 0.5}\n")
    loaded = TrainConfig.load(file, ["steps=9", "options.extra=1"])
    assert loaded.steps == 9 and loaded.options == {"kl_weight": 0.5, "extra": 1}


def test_every_configuration_loads_and_paper_has_the_papers_values():
    for file in sorted(CONFIGS.rglob("*.yaml")):
        assert TrainConfig.load(file).model in (file.parent.name, file.stem)
    for name in ("t2a", "v2a"):
        of_paper = TrainConfig.load(CONFIGS / "paper" / f"{name}.yaml")
        assert (of_paper.lr, of_paper.batch_size, of_paper.keep_best) == (3e-5, 160, True)
        assert of_paper.steps == round(40 * 53_293 / 160) and of_paper.options["drop_text"] == 0.1


def test_the_batch_is_shared_whatever_the_number_of_processes():
    of_paper = TrainConfig.load(CONFIGS / "paper" / "v2a.yaml")
    assert [shares(of_paper, n) for n in (1, 2, 8, 16)] == [(16, 10), (8, 10), (2, 10), (1, 10)]
    with pytest.raises(InputError, match=r"multiple of 70 \(7 processes × micro_batch_size 10\)"):
        shares(of_paper, 7)
    with pytest.raises(InputError, match="multiple of 3"):
        shares(TrainConfig(batch_size=8), 3)


def test_the_size_of_pictures_is_a_setting():
    assert TrainConfig.load(None, ["model=compact"]).timeline == COMPACT
    assert TrainConfig.load(None, ["frame_size=112"]).timeline == replace(COMPACT, frame_size=112)


def test_a_shipped_configuration_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert TrainConfig.load("configs/tiny/onset.yaml").model == "tiny"
    with pytest.raises(ValueError, match=r"no configuration file configs/tiny/nothing\.yaml"):
        TrainConfig.load("configs/tiny/nothing.yaml")
