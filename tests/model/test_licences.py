"""A checkpoint says what its parts may be used for, from the source through training to the assembled folder."""

from __future__ import annotations

import json

import pytest

from stav2a.models import licences
from stav2a.models.card import limits
from stav2a.weights.folder import licences as converted
from stav2a.weights.sources import PAPER


def test_the_licence_that_binds_most_is_that_of_the_whole():
    assert licences.overall(["Apache-2.0", "MIT", "CC-BY-NC-SA-4.0", "none stated"]) == "cc-by-nc-sa-4.0"
    assert licences.overall(["Apache-2.0", "MIT"]) == "mit"
    assert licences.overall(["Apache-2.0"]) == "apache-2.0"
    assert licences.overall(["Apache-2.0", licences.NOT_NOTED]) == licences.overall([licences.NONE_STATED]) == "other"
    assert {source.licence for source in PAPER.values()} <= {*licences.STRICTNESS, licences.NONE_STATED}


def test_converted_parts_bear_the_licence_of_their_source():
    found = converted({"unet": {}, "controlnet": {}, "local_features": {}, "attentive_pool": {}})
    assert found["vae"] == found["vocoder"] == "CC-BY-NC-SA-4.0"
    assert (found["unet"], found["video_encoder"], found["text_encoder"]) == ("none stated", "MIT", "Apache-2.0")
    assert converted({"video_encoder": {}})["video_encoder"] == "none stated"


def test_training_keeps_a_part_under_the_licence_it_began_with(tmp_path):
    index = {"provenance": {"licences": {"vae": "CC-BY-NC-SA-4.0", "unet": "none stated"}}}
    for name in ("vae", "unet"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").touch()
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    before = licences.parts_in(tmp_path)
    for name in ("controlnet", "attentive_pool"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").touch()
    licences.note_made(tmp_path, before)
    assert licences.noted(tmp_path) == {
        "vae": "CC-BY-NC-SA-4.0", "unet": "none stated", "controlnet": "none stated", "attentive_pool": "Apache-2.0",
    }  # fmt: skip
    assert licences.of_parts(tmp_path, ["vae", "vocoder"], "paper")["vocoder"] == licences.NOT_NOTED
    assert licences.of_parts(tmp_path, ["vae", "vocoder"], "compact")["vocoder"] == "Apache-2.0"
    licences.note(tmp_path, {"vae": licences.OURS})  # trained anew
    assert licences.noted(tmp_path)["vae"] == "Apache-2.0"


def test_the_card_tells_what_the_licences_ask():
    sentences = " ".join(limits({"vae": "CC-BY-NC-SA-4.0", "unet": "none stated", "text_encoder": "Apache-2.0"}))
    assert "Not for commercial use: `vae`" in sentences and "licence for `unet`" in sentences
    assert limits({"vae": "Apache-2.0"}) == []


@pytest.mark.parametrize("system", [None, "t2a"])
def test_what_is_assembled_says_the_licence_of_what_it_holds(tmp_path, system):
    """The parts of the debug model, with a VAE and a vocoder of AudioLDM."""
    from debug_model import tiny

    from stav2a.train.runtime.assemble_system import assemble_system
    from stav2a.train.runtime.parts import assemble

    pipe = tiny()
    pipe.save_pretrained(tmp_path / "base")
    pipe.save_pretrained(tmp_path / "parts")
    licences.note(tmp_path / "parts", dict.fromkeys(("vae", "vocoder"), "CC-BY-NC-SA-4.0"))
    if system:
        out = assemble_system(tmp_path / "parts", "tiny", tmp_path / "out", system, "../base")
    else:
        out = assemble(tmp_path / "parts", "tiny", tmp_path / "out")
    provenance = json.loads((out / "model_index.json").read_text())["provenance"]
    assert provenance["licence"] == "cc-by-nc-sa-4.0" and provenance["licences"]["vae"] == "CC-BY-NC-SA-4.0"
    assert provenance["licences"]["unet"] == "Apache-2.0"
    card = (out / "README.md").read_text()
    assert "license: cc-by-nc-sa-4.0" in card and "Not for commercial use: `vae`, `vocoder`" in card
