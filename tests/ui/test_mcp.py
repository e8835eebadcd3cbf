"""The endpoints as tools of an MCP client, and how they are described."""

from __future__ import annotations

import ast
import asyncio

import httpx
import pytest
from page_server import make_clip, served

from stav2a.generation.engine import Engine

mcp = pytest.importorskip("mcp", reason="gradio[mcp] brings the client")
TOOLS = ("generate", "predict_onsets", "compare")
QUICK = {"model": "tiny", "steps": 2, "seed": 7, "prompt": "a ball bounces"}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """(address of the server, address of a clip uploaded there)."""
    folder = tmp_path_factory.mktemp("mcp")
    clip = make_clip(folder / "clip.mp4", seconds=1.0)
    with served(folder / "runs", Engine("tiny")) as (url, _):
        sent = httpx.post(f"{url}gradio_api/upload", files={"files": ("clip.mp4", clip.read_bytes(), "video/mp4")})
        yield url, f"{url}gradio_api/file={sent.raise_for_status().json()[0]}"


def session(url: str, talk):
    """What the coroutine function `talk` returns of an open session."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def run():
        async with (
            streamablehttp_client(f"{url}gradio_api/mcp/", timeout=600, sse_read_timeout=600) as (reader, writer, _),
            ClientSession(reader, writer) as opened,
        ):
            await opened.initialize()
            return await talk(opened)

    return asyncio.run(run())


def call(url: str, name: str, **arguments):
    """(whether it failed, all that was said) of one tool."""

    async def talk(opened):
        tools = (await opened.list_tools()).tools
        known = next(tool.name for tool in tools if tool.name.endswith(name))
        return await opened.call_tool(known, arguments)

    answer = session(url, talk)
    return answer.isError, "\n".join(getattr(part, "text", "") for part in answer.content)


def test_tools_and_their_descriptions(page):
    async def talk(opened):
        return (await opened.list_tools()).tools

    tools = session(page[0], talk)
    assert len(tools) == len(TOOLS), [tool.name for tool in tools]
    for name in TOOLS:
        tool = next(tool for tool in tools if tool.name.endswith(name))
        assert len(tool.description) > 60
        described = tool.inputSchema["properties"]
        assert "video" in described and "model" in described
        assert all(field.get("description") for field in described.values()), f"{name}: an argument has no description"
        assert "tiny" in described["model"]["enum"]
        if name != "predict_onsets":
            assert described["seed"]["type"] == described["steps"]["type"] == "integer"
            assert "ddim" in described["sampler"]["enum"]
        assert "60 s" in described["length_s"]["description"], "the page's own limit"


def test_onsets_of_an_uploaded_clip(page):
    url, address = page
    failed, said = call(url, "predict_onsets", video=address, model="tiny", start_s=0, length_s=0)
    assert not failed, said
    assert ast.literal_eval(said)["duration_s"] == pytest.approx(1.0, abs=0.05)


def test_generate_answers_with_files_and_facts(page):
    url, address = page
    failed, said = call(url, "generate", video=address, onsets_s=[0.2, 0.6], **QUICK)
    assert not failed, said
    assert ".mp4" in said and ".wav" in said and '"seed": 7' in said.replace("'", '"') and "[0.2, 0.6]" in said


def test_numbers_out_of_range_are_refused_in_a_sentence(page):
    url, address = page
    failed, said = call(url, "generate", video=address, **{**QUICK, "guidance_scale": 11})
    assert failed
    assert "11" in said and "between 1 and 10" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("path", ["/etc/passwd", "/tmp/../etc/hostname", ""])
def test_only_addresses_of_uploads_are_read(page, path):
    url, _ = page
    for address in (f"{url}gradio_api/file={path}", "http://127.0.0.1:9/clip.mp4"):
        failed, said = call(url, "predict_onsets", video=address, model="tiny", start_s=0, length_s=0)
        assert failed and "root:" not in said
