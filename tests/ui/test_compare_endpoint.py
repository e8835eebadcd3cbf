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


def test_nothing_but_the_endpoint_is_public(client):
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(named) == {"/generate", "/predict_onsets", "/compare"}
    assert "axis" in named["/compare"]["description"].lower()
