"""The video a visitor hands in: an uploaded file, never a foreign address and never a path of this machine."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import gradio as gr
from gradio.route_utils import API_PREFIX
from gradio.utils import get_upload_folder
from gradio_client.utils import is_http_url_like

from stav2a.media.limits import InputError
from stav2a.media.probe import ClipInfo


def uploaded_video(**kwargs) -> gr.Video:
    """A `gr.Video` that refuses addresses, but for those of files that were uploaded here.

    The framework already refuses paths outside its upload folder, but it fetches an address that a client
    puts in place of a path. A public page would then download for strangers. MCP clients upload first and
    then name the file by the address that this server gave it: that one is read from the disk.
    """
    video = gr.Video(**kwargs)
    keep = video.async_move_resource_to_block_cache

    async def refuse_addresses(url_or_file_path):
        if url_or_file_path is not None and is_http_url_like(str(url_or_file_path)):
            if (uploaded := uploaded_file(str(url_or_file_path))) is not None:
                return await keep(uploaded)
            raise gr.Error("Only uploaded files are accepted, not addresses.", print_exception=False)
        return await keep(url_or_file_path)

    video.async_move_resource_to_block_cache = refuse_addresses
    return video


def uploaded_file(address: str) -> str | None:
    """The file behind an address that this server gave out for an upload, or None. Nothing is fetched."""
    _, mark, path = address.partition(f"{API_PREFIX}/file=")
    path = Path(unquote(path)).resolve()
    inside = path.is_relative_to(Path(get_upload_folder()).resolve())
    return str(path) if mark and inside and path.is_file() else None


def need(path: object) -> Path:
    """The uploaded clip, or one sentence that says it is missing."""
    if not isinstance(path, str) or not path:
        raise InputError("There is no video yet: upload a clip first.")
    if is_http_url_like(path):
        raise InputError("Only uploaded files are accepted, not addresses.")
    return Path(path)


def summary(info: ClipInfo) -> str:
    sound = "with sound" if info.has_audio else "silent"
    return f"{info.duration_s:.1f} s · {info.width}×{info.height} · {info.fps:.3g} fps · {sound}"
