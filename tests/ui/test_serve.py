"""The page on odd machines and behind proxies; what docs/deploy.md tells to write is used as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import gradio as gr
import httpx
import pytest
from gradio_client import Client
from page_server import make_clip, served

from stav2a.commands import serve
from stav2a.generation.engine import Engine
from stav2a.media.limits import InputError
from stav2a.ui.serve import launch, machine

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    return re.search(rf"```{language}\n(.*?)```", GUIDE, re.S)[1]


# ---- machines


@pytest.mark.parametrize(
    ("given", "kept"), [("", []), ("corp.example, 10.0.0.1", ["corp.example", "10.0.0.1"]), ("*", ["*"])]
)
def test_the_page_reaches_itself_past_every_proxy(monkeypatch, given, kept):
    monkeypatch.setenv("NO_PROXY", given)
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    machine.reach_itself()
    told = os.environ["NO_PROXY"].split(",")
    assert told[: len(kept)] == kept and (told == ["*"] or {"localhost", "127.0.0.1", "::1"} <= set(told))


def test_a_socks_proxy_is_no_obstacle():
    environment = {**os.environ, "ALL_PROXY": "socks5://127.0.0.1:9", "HTTPS_PROXY": "socks5://127.0.0.1:9"}
    code = "import httpx; httpx.Client().close()"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_uploads_have_a_folder_of_their_own(monkeypatch, tmp_path):
    """The framework's default is `gradio` in the temporary folder: here it is someone else's."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    monkeypatch.setattr(machine.tempfile, "tempdir", str(tmp_path))
    (tmp_path / "gradio").write_text("not ours")
    one = machine.own_upload_folder()
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    other = machine.own_upload_folder()
    assert one != other and one.parent == tmp_path and one.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["TMPDIR", "GRADIO_TEMP_DIR"])
def test_a_folder_that_cannot_be_written_is_one_sentence(monkeypatch, tmp_path, name):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(machine.tempfile, "tempdir", str(tmp_path / "file"))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "file" / "x") if name == "GRADIO_TEMP_DIR" else "")
    with pytest.raises(InputError, match=name):
        machine.own_upload_folder()


def test_a_port_that_is_taken_is_one_sentence():
    with gr.Blocks() as demo:
        pass
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = {"server_name": "127.0.0.1", "server_port": port, "quiet": True}
        with pytest.raises(InputError, match=f"port {port} is taken"):
            launch.served(demo, options, None)


class Answered(Exception):
    """Ends a server of a test once it has answered."""


def test_two_servers_take_two_ports_and_what_cannot_be_shared_is_served_here(monkeypatch, capsys):
    def offline(*_):
        raise RuntimeError("Could not get share link from Gradio API Server.")

    monkeypatch.setattr("gradio.networking.setup_tunnel", offline)
    pages = [gr.Blocks(), gr.Blocks()]
    for page in pages:
        with page:
            gr.Markdown("A page.")
    options = {"server_name": "127.0.0.1", "server_port": None}

    def second() -> None:
        launch.served(pages[1], {**options, "share": True}, None, both_answer)

    def both_answer() -> None:
        assert pages[0].server_port != pages[1].server_port
        for page in pages:
            assert httpx.get(f"{page.local_url}config").status_code == 200
        raise Answered

    with pytest.raises(Answered):
        launch.served(pages[0], {**options, "share": False}, None, second)
    for page in pages:
        page.close()
    assert "Could not create share link" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "pairs"),
    [("ann:se:cret\n# no\n\nbob:x\n", [("ann", "se:cret"), ("bob", "x")]), ("", None), ("ann", None), ("ann:\n", None)],
)
def test_names_and_passwords_come_from_a_file(tmp_path, text, pairs):
    (tmp_path / "passwords.txt").write_text(text)
    if pairs is None:
        with pytest.raises(InputError, match="name:password"):
            serve.read_auth(tmp_path / "passwords.txt")
    else:
        assert serve.read_auth(tmp_path / "passwords.txt") == pairs
    with pytest.raises(InputError, match="cannot be read"):
        serve.read_auth(tmp_path / "missing")


@pytest.mark.parametrize(
    ("host", "alone"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("box", False)]
)
def test_who_may_connect_decides_on_deadlines(host, alone):
    assert serve.is_loopback(host) is alone


def test_a_password_is_asked_for(tmp_path):
    with served(tmp_path / "runs", Engine("tiny"), auth=[("ann", "secret")]) as (url, _):
        assert httpx.get(f"{url}config").status_code == 401
        assert Client(url, verbose=False, auth=("ann", "secret")).view_api(return_format="dict", print_info=False)


# ---- the guide


@pytest.mark.skipif(shutil.which("nginx") is None, reason="there is no nginx on this machine")
def test_the_guide_to_nginx_serves_the_page_under_a_path(tmp_path):
    with served(tmp_path / "runs", Engine("tiny"), root_path="/sound") as (url, _):
        address = httpx.URL(url)
        location = block("nginx").replace("127.0.0.1:7860", f"127.0.0.1:{address.port}")
        temporary = " ".join(
            f"{name}_temp_path {tmp_path}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config = tmp_path / "nginx.conf"
        config.write_text(
            f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error; events {{}}\n"
            f"http {{ access_log off; {temporary} server {{ listen unix:{tmp_path}/socket; {location} }} }}\n"
        )
        proxy = subprocess.Popen(["nginx", "-c", str(config)])
        try:
            with httpx.Client(transport=httpx.HTTPTransport(uds=f"{tmp_path}/socket", retries=20)) as client:
                told = client.get("http://example.org/sound/config")
                assert told.status_code == 200 and told.json()["root"] == "http://example.org/sound"
                clip = make_clip(tmp_path / "clip.mp4", seconds=1)
                files = {"files": ("clip.mp4", clip.read_bytes(), "video/mp4")}
                (path,) = client.post("http://example.org/sound/gradio_api/upload", files=files).json()
                asked = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, "tiny", 0, 0]}
                call = "http://example.org/sound/gradio_api/call/predict_onsets"
                event = client.post(call, json=asked).json()["event_id"]
                assert "event: complete" in client.get(f"{call}/{event}", timeout=120).text
        finally:
            proxy.terminate()
            proxy.wait()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd on this machine")
def test_the_guide_to_a_service_is_a_sound_unit(tmp_path):
    unit = tmp_path / "stav2a.service"
    unit.write_text(block("ini").replace("/opt/stav2a/.venv/bin/python", sys.executable))
    told = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert told.returncode == 0 and "stav2a.service" not in told.stderr, told.stderr


def test_the_guide_names_flags_that_are_there():
    import argparse

    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    serving = GUIDE.split("## In a container")[0]
    flags = set(re.findall(r"--[a-z][a-z-]+", serving)) - {"--now"}  # of systemctl
    assert flags <= set(parser._option_string_actions)
    for line in re.findall(r"^python -m stav2a serve (.*)$", GUIDE, re.M):
        parser.parse_args(line.split())
