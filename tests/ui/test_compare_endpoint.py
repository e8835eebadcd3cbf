"""The endpoint `/compare` through gradio's client, and what the page's events tell the world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from page_server import make_clip, served

from stav2a.generation.engine import Engine

QUICK = {"axis": "guidance_scale", "values": "1, 8", "prompt": "a ball", "model": "tiny", "steps": 2, "seed": 3}


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", seconds=1.0)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with served(tmp_path_factory.mktemp("runs"), Engine("tiny")) as (url, _):
        yield Client(url, verbose=False)


def compare(client: Client, clip: Path, **changes):
    return client.predict(video=handle_file(clip), **{**QUICK, **changes}, api_name="/compare")


def test_a_set_comes_as_files_and_facts(client, clip):
    files, facts = compare(client, clip)
    assert [fact["name"] for fact in facts] == ["guidance 1", "guidance 8"]
    one, other = (soundfile.read(file)[0] for file in files)
    assert len(one) == len(other) == 16_000 and not np.allclose(one, other, atol=1e-4)
    assert all({"onsets_s", "measures", "settings"} <= set(fact) for fact in facts)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"axis": "prompt"}, "axis"),
        ({"values": "1"}, "between 2 and 4"),
        ({"values": "1, 99"}, "99"),
        ({"axis": "parts", "values": "text only, magic"}, "between 2 and 4"),
        ({"steps": 1e9}, "steps"),
        ({"model": "../../etc"}, "model"),
    ],
)
def test_nonsense_gets_a_sentence(client, clip, change, says):
    with pytest.raises(Exception, match=says) as refusal:
        compare(client, clip, **change)
    assert "Traceback" not in str(refusal.value)


def test_every_sample_value_is_one_that_works(client, clip):
    """What "Use via API" shows, sent as it is; the clip apart, whose name is the caller's."""
    from stav2a.generation.settings import Settings

    for name, told in client.view_api(return_format="dict", print_info=False)["named_endpoints"].items():
        samples = {each["parameter_name"]: each["example_input"] for each in told["parameters"]}
        assert samples.pop("video")["path"] == "clip.mp4" and not samples.get("reference", {}).get("url"), name
        dials = {key: value for key, value in samples.items() if key not in ("axis", "values", "reference")}
        assert Settings.of({key: value for key, value in dials.items() if value is not None})
        for each in told["parameters"]:
            assert each["type"].get("description") or each["parameter_name"] == "video", each["parameter_name"]
            if isinstance(each["example_input"], int):
                assert each["type"]["type"] in ("integer", "number")
    files, _ = client.predict(
        video=handle_file(clip),
        **{**samples, "model": "tiny", "steps": 2, "length_s": 0.8, "onsets_s": [0.2]},
        api_name="/compare",
    )
    assert len(files) == 3


def test_a_caption_alone_makes_a_sound(client):
    clip, audio, facts, files = client.predict(
        prompt="a dog barks", length_s=1.0, model="tiny", steps=2, api_name="/generate"
    )
    assert clip is None and soundfile.info(audio).duration == pytest.approx(1.0, abs=0.01) and len(files) == 1
    assert facts["duration_s"] == 1.0
    with pytest.raises(Exception, match="clip, or a caption"):
        client.predict(model="tiny", api_name="/generate")


def test_a_sound_of_ones_own_is_followed(client, clip, tmp_path):
    knock = tmp_path / "knock.wav"
    noise = np.random.default_rng(0).standard_normal(8000) * np.exp(-np.arange(8000) / 800)
    soundfile.write(knock, 0.3 * noise, 16_000)
    given = {"video": handle_file(clip), "model": "tiny", "steps": 2, "onsets_s": [0.2, 0.6], "strength": 0.0}
    _, audio, facts, _ = client.predict(**given, reference=handle_file(knock), api_name="/generate")
    assert facts["settings"]["reference"] == "knock.wav", "no path of the server is told"
    assert np.abs(soundfile.read(audio)[0]).max() > 0.01


def test_nothing_but_the_endpoint_is_public(client):
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(named) == {"/generate", "/predict_onsets", "/compare"}
    assert "axis" in named["/compare"]["description"].lower()
