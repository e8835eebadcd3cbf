"""Captions whose words the text encoder does not know are told, those in English are not."""

from __future__ import annotations

import json

import pytest
from clips import make

from stav2a.__main__ import main
from stav2a.condition.text import unfamiliar
from stav2a.generation.engine import Engine


@pytest.fixture(scope="module")
def tokenizer():
    return Engine("compact", "cpu").pipeline("compact").tokenizer


@pytest.mark.parametrize(
    "caption",
    ["a hammer strikes metal", "Glass breaks, people talk", "a xylophone plays in the hall", "rain", "", "A DOG BARKS!",
     "footsteps crunch on gravel", "café noise", "a skateboarder ollies", "thunderstorm", "woodpecker drumming"],
)  # fmt: skip
def test_english_is_known(tokenizer, caption):
    assert unfamiliar(tokenizer, caption) == []


@pytest.mark.parametrize(
    "caption",
    ["Glas zerbricht", "ein Hund bellt", "un chien aboie", "un perro ladra", "pioggia sul tetto", "狗在叫", "雨声",
     "собака лает", "كلب ينبح", "개가 짖는다", "köpek havlıyor", "pies szczeka"],
)  # fmt: skip
def test_other_languages_are_told(tokenizer, caption):
    assert unfamiliar(tokenizer, caption)


def test_command_line_and_record_say_it(tmp_path, capsys):
    clip = make(tmp_path / "clip.mp4", duration_s=1.0)
    asked = [
        "generate",
        str(clip),
        "--out",
        str(tmp_path / "out"),
        "--steps",
        "1",
        "--json",
        "--prompt",
        "ein Hund bellt",
    ]
    assert main(asked) == 0
    told = capsys.readouterr()
    sentence = json.loads(told.out)["caption_note"]
    assert sentence in told.err and "English" in sentence and "Hund, bellt" in sentence


def test_checking_words_leaves_the_tokenizer_as_it_is(tokenizer):
    """Another thread may be encoding captions with it at this moment."""
    tokenizer(["a dog barks", "rain"], max_length=8, truncation=True, padding=True)
    backend = tokenizer.backend_tokenizer
    before = backend.padding, backend.truncation
    assert all(before) and unfamiliar(tokenizer, "ein hund bellt laut")
    assert (backend.padding, backend.truncation) == before
