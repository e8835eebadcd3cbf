"""Every example of docs/api.md runs as it is written, against a served page."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from page_server import make_clip, served

from stav2a.generation.engine import Engine

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"
EXAMPLES = re.findall(r"^```(\w+)\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
ADDRESS = "http://127.0.0.1:7860"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """(address, a folder with clip.mp4 in it)."""
    folder = tmp_path_factory.mktemp("api")
    make_clip(folder / "clip.mp4", seconds=1.5)
    with served(folder / "runs", Engine("tiny")) as (url, _):
        yield url.rstrip("/"), folder


def ran(command: list[str], folder: Path) -> str:
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert told.returncode == 0, told.stderr[-2000:]
    return told.stdout


@pytest.mark.parametrize(("language", "text"), EXAMPLES, ids=[f"{k}-{name}" for k, (name, _) in enumerate(EXAMPLES)])
def test_an_example_runs(page, language, text):
    address, folder = page
    text = text.replace(ADDRESS, address)
    if language == "python":
        if "mcp" in text:
            pytest.importorskip("mcp", reason="gradio[mcp] brings the client")
            text = text.replace('"prompt": "a dog barks twice"', '"prompt": "a dog barks twice", "steps": 2')
        ran([sys.executable, "-c", text], folder)
    elif language == "sh":
        if shutil.which("curl") is None:
            pytest.skip("there is no curl on this machine")
        assert "event: complete" in ran(["sh", "-c", text], folder)
        assert (folder / "sound.wav").read_bytes()[:4] == b"RIFF"
    else:
        if shutil.which("node") is None:
            pytest.skip("there is no node on this machine")
        (folder / "example.mjs").write_text(text, encoding="utf-8")
        assert ".mp4" in ran(["node", "example.mjs"], folder)


def test_there_is_one_example_of_each():
    assert [name for name, _ in EXAMPLES] == ["python", "javascript", "sh", "python"]
    assert all(len(text.strip().splitlines()) <= 18 for _, text in EXAMPLES)
