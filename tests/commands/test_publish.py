"""`publish`: what a Space needs arrives at a hub of our own, nothing else, and runs there as on a Space."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import hub
import pytest
from gradio_client import Client, handle_file

from stav2a.__main__ import main
from stav2a.commands import publish

CHECKOUT = Path(__file__).parents[2]
SPACE = f"{hub.OWNER}/demo"
NEEDED = {
    "app.py": b"page = 1\n",
    "README.md": b"---\nsdk: gradio\n---\n",
    "requirements.txt": b"torch\n",
    "packages.txt": b"ffmpeg\n",
    "LICENSE": b"Apache\n",
    "assets/compact/unet/model.safetensors": b"weights",
    "assets/shelf/bell.opus": b"Opus\0sound",
    "stav2a/ui/page.py": b"page = 2\n",
    "stav2a/ui/theme.css": b"body {}\n",
}
OTHERS = (
    ".git/config", ".gitattributes", ".venv/bin/python", "tests/test_page.py", "docs/page.md", "runs/app.py",
    "assets/.DS_Store", "stav2a/ui/__pycache__/page.cpython-311.pyc", "stav2a/ui/page.pyi", "requirements-test.txt",
)  # fmt: skip


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    root = tmp_path / "checkout"
    for name, content in {**NEEDED, **dict.fromkeys(OTHERS, b"not sent")}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    monkeypatch.setattr(publish, "ROOT", root)
    return root


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A hub on this machine, with an account that is logged in."""
    from huggingface_hub import constants

    with hub.serving({}, tmp_path / "spaces") as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", hub.TOKEN)
        yield served


def refusal(capsys, *words: str) -> str:
    """The one sentence with which `publish` ends."""
    capsys.readouterr()
    assert main(["publish", *words]) == 2
    err = capsys.readouterr().err
    said = err.splitlines()[-1]  # after the progress of what was sent
    assert said.endswith(".") and len(said) < 300 and "Traceback" not in err, err
    return said


def test_a_space_gets_what_it_needs_and_nothing_else(here, checkout, capsys):
    assert main(["publish", SPACE, "--hardware", "zero-a10g", "--private"]) == 0
    there = files_of(here.repositories[SPACE])
    assert there.pop(".gitattributes") == hub.ATTRIBUTES, "the hub's own, which says what is stored as a large file"
    assert there == NEEDED
    assert here.large == {"assets/compact/unet/model.safetensors", "assets/shelf/bell.opus"}
    made = here.made[SPACE]
    assert (made["type"], made["sdk"], made["hardware"]) == ("space", "gradio", "zero-a10g")
    assert made["visibility"] == "private"
    assert f"{here.url}/spaces/{SPACE}" in capsys.readouterr().out


@pytest.mark.parametrize("xet", [False, True])
def test_a_space_is_updated_only_if_asked(here, checkout, capsys, monkeypatch, xet):
    assert main(["publish", SPACE]) == 0
    assert here.made[SPACE].keys() & {"hardware", "visibility"} == set()
    there = here.repositories[SPACE]
    (there / "stav2a/old.py").write_text("of an earlier version")
    assert "--update" in refusal(capsys, SPACE) and (there / "stav2a/old.py").exists()
    if xet:  # the way of upload_folder where hf_xet is installed; small text needs no xet server
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
        (checkout / "assets/shelf/bell.opus").write_bytes(b"text")
        (checkout / "assets/compact/unet/model.safetensors").rename(checkout / "assets/compact/unet/model.json")
    (checkout / "app.py").write_text("page = 3\n")
    assert main(["publish", SPACE, "--update"]) == 0
    after = files_of(there)
    assert after.pop(".gitattributes") == hub.ATTRIBUTES
    assert after == {name.as_posix(): (checkout / name).read_bytes() for name in publish.sent(checkout)}
    assert after["app.py"] == b"page = 3\n"


def test_a_dry_run_says_what_is_sent_and_asks_nobody(checkout, capsys, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(publish, "hub_reachable", lambda: pytest.fail("the network was asked"))
    assert main(["publish", SPACE, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].split()[:2] == ["together", str(len(NEEDED))]
    assert {line.split()[0] for line in lines[:-1]} == {name.split("/")[0] for name in NEEDED}


@pytest.mark.parametrize("name", ["demo", "some body/demo", "somebody/../demo", "https://hub/somebody/demo", "a/b/c"])
def test_what_is_no_name_is_refused(checkout, capsys, name):
    assert repr(name) in refusal(capsys, name)


@pytest.mark.parametrize(
    ("step", "status", "says"),
    [
        ("create", 402, "--hardware zero-a10g"),
        ("create", 403, "may not write"),
        ("create", 503, "answers 503"),
        ("validate-yaml", 400, "front matter: emoji is missing"),
        ("commit", 413, "answers 413"),
        ("commit", 0, "broke off"),
    ],
)
def test_what_the_hub_refuses_is_said(here, checkout, capsys, step, status, says):
    here.fails[step] = (status, "front matter: emoji is missing")
    assert says in refusal(capsys, SPACE)
    here.fails.clear()
    assert main(["publish", SPACE, "--update"]) == 0, "the next try works"


def test_whose_token_or_owner_is_wrong_is_told(here, checkout, capsys, monkeypatch):
    assert "may not write to else/demo" in refusal(capsys, "else/demo")
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    assert "does not accept the token" in refusal(capsys, SPACE)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert "hf auth login" in refusal(capsys, SPACE)
    assert not here.made


def test_without_a_network_or_a_checkout_one_sentence_says_so(here, checkout, capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "out of reach" in refusal(capsys, SPACE)
    (checkout / "app.py").unlink()
    assert "checkout" in refusal(capsys, SPACE)


def test_a_container_gets_what_a_space_gets():
    """`Dockerfile` copies all that `.dockerignore` lets through."""
    let_through = [line for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert let_through == [f"!{pattern.removesuffix('/*')}" for pattern in publish.SENT]
    lines = (CHECKOUT / "Dockerfile").read_text().splitlines()
    assert "COPY . ." in lines and "FROM python:3.12-slim" in lines
    assert 'python_version: "3.12' in (CHECKOUT / "README.md").read_text(encoding="utf-8"), "the same as a Space's"


# ---- the Space itself


@pytest.fixture(scope="module")
def uploaded(tmp_path_factory) -> Path:
    """The folder of a Space after `publish` of this checkout, by a process of its own."""
    spaces = tmp_path_factory.mktemp("hub")
    with hub.serving({}, spaces) as served:
        told = {"HF_ENDPOINT": served.url, "HF_TOKEN": hub.TOKEN, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
        command = [sys.executable, "-m", "stav2a", "publish", SPACE]
        done = subprocess.run(command, cwd=CHECKOUT, env={**os.environ, **told}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        plain = [
            p for p in spaces.rglob("*") if p.is_file() and p.relative_to(spaces / SPACE).as_posix() not in served.large
        ]
        assert max(p.stat().st_size for p in plain) < hub.LARGEST_PLAIN
    return spaces / SPACE


@pytest.mark.slow
def test_the_space_is_what_git_holds_of_those_folders(uploaded):
    if not (CHECKOUT / ".git").exists():
        pytest.skip("needs git's list of files")
    places = [pattern.removesuffix("/*") for pattern in publish.SENT]
    listed = subprocess.run(
        ["git", "ls-files", "-z", *places], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert set(files_of(uploaded)) - {".gitattributes"} == set(listed.stdout.strip("\0").split("\0"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_space_answers(uploaded, clip, tmp_path):
    """`app.py` in the folder that was sent, started as a Space starts it, gives a clip its sound.

    With the Python of STAV2A_SPACE_PYTHON, which holds what a Space installs and nothing else, or with this one.
    """
    python = os.environ.get("STAV2A_SPACE_PYTHON", sys.executable)
    url = f"http://127.0.0.1:{free_port()}"
    told = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    told |= {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": url.rpartition(":")[2], "GRADIO_NUM_PORTS": "1"}
    if "STAV2A_SPACE_PYTHON" in os.environ:
        told |= {"SYSTEM": "spaces", "SPACE_ID": SPACE}
    with (tmp_path / "log").open("w+") as log:
        process = subprocess.Popen([python, "app.py"], cwd=uploaded, env=told, stdout=log, stderr=log)
        try:
            page = reached(url, process)
            _, sound, facts, _ = page.predict(
                video=handle_file(clip), prompt="a ball bounces", steps=2, seed=7, api_name="/generate"
            )
        finally:
            process.terminate()
            process.wait(60)
    assert process.returncode == 0, (tmp_path / "log").read_text()[-2000:]
    assert facts["settings"]["model"] == "compact" and facts["duration_s"] == pytest.approx(2.0, abs=0.05)
    assert Path(sound).stat().st_size > 2 * 16_000


def reached(url: str, process: subprocess.Popen) -> Client:
    """A client of the page, as soon as it answers."""
    while process.poll() is None:
        try:
            return Client(url, verbose=False, httpx_kwargs={"timeout": 300})
        except (httpx.HTTPError, ValueError):  # not there yet
            time.sleep(0.5)
    raise AssertionError("app.py ended before it answered")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]
