"""Files from visitors: only uploads, never a foreign URL and never a path of this machine."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import gradio as gr
import numpy as np
from gradio.data_classes import FileData
from gradio.route_utils import API_PREFIX
from gradio.utils import get_upload_folder
from gradio_client.utils import is_file_obj_with_meta, is_http_url_like, traverse

from stav2a.media.limits import InputError, Limits
from stav2a.media.probe import ClipInfo, probe

NO_ADDRESS = "Only uploaded files are accepted, not web addresses."
PROBES = threading.BoundedSemaphore(2)
PREVIEWS = threading.BoundedSemaphore(1)
PROBE_S = 20.0  # the largest upload takes a few


class Page(gr.Blocks):
    """Blocks that refuse URLs in every input, except those of files that were uploaded to this server.

    Gradio already refuses paths outside its upload folder, but it fetches a URL given in place of a path, for any
    component and not only those for files. A public page would then download files for anyone. MCP clients upload
    first and then name the file by the URL that this server gave it: such a file is read from disk.
    """

    async def preprocess_data(self, block_fn, inputs, state, explicit_call=False):
        inputs = traverse(inputs, without_address, is_file_obj_with_meta)
        return await super().preprocess_data(block_fn, inputs, state, explicit_call)


class Video(gr.Video):
    """A `gr.Video` that shows files unchanged.

    Gradio's own converts files that a browser may not play, without limits on time, memory and format.
    """

    def get_block_name(self) -> str:
        return "video"

    def preprocess(self, payload: FileData | None) -> str | None:
        return None if payload is None else payload.path

    def postprocess(self, value: Any) -> FileData | None:
        return None if value is None else FileData(path=str(value), orig_name=Path(value).name)


class Sound(gr.Audio):
    """A `gr.Audio` that passes files on unchanged, like `Video`."""

    def get_block_name(self) -> str:
        return "audio"

    def preprocess(self, payload: FileData | None) -> str | None:
        return None if payload is None else payload.path

    def postprocess(self, value: Any) -> FileData | None:
        return None if value is None else FileData(path=str(value), orig_name=Path(value).name)


def without_address(file: dict) -> dict:
    """The file's description with the path of the upload; `gr.Error` if it names a foreign URL."""
    path, url = str(file.get("path") or ""), file.get("url")
    if is_http_url_like(path):
        path = uploaded_file(path) or ""
        if not path:
            raise gr.Error(NO_ADDRESS, print_exception=False)
    return {**file, "path": path, "url": None if is_http_url_like(str(url)) else url}


def uploaded_file(address: str) -> str | None:
    """The file of a URL that this server gave to an upload, or None. Nothing is fetched."""
    _, mark, path = address.partition(f"{API_PREFIX}/file=")
    path = Path(unquote(path)).resolve()
    inside = path.is_relative_to(Path(get_upload_folder()).resolve())
    return str(path) if mark and inside and path.is_file() else None


def need(path: object) -> Path:
    """The path of the uploaded clip; `InputError` if it is missing."""
    if not isinstance(path, str) or not path:
        raise InputError("There is no video yet: upload a clip first.")
    if is_http_url_like(path):
        raise InputError(NO_ADDRESS)
    return Path(path)


def clip_info(path: Path, limits: Limits) -> ClipInfo:
    """`probe` an upload: at most two at a time, each file once."""
    try:
        state = path.stat()
    except OSError:
        raise InputError("The clip is no longer on the server; upload it again.") from None
    with PROBES:
        return _clip_info(
            path, state.st_size, state.st_mtime_ns, replace(limits, timeout_s=min(limits.timeout_s, PROBE_S))
        )


@lru_cache(256)
def _clip_info(path: Path, size: int, changed_ns: int, limits: Limits) -> ClipInfo:
    return probe(path, limits)


def suggested(path: Path, limits: Limits) -> list[str]:
    """Captions that the built-in describer is confident of; [] for an unreadable file."""
    from stav2a.generation.describe import suggest

    with PROBES:
        return suggest(path, replace(limits, timeout_s=min(limits.timeout_s, PROBE_S)))


def playable(path: Path, limits: Limits) -> Path | None:
    """A silent copy of a clip that browsers can play, at most as long as the page accepts; None if they can play the
    clip itself."""
    from stav2a.media import mux
    from stav2a.media.mux import can_copy
    from stav2a.ui.widgets.player import public_folder

    info = clip_info(path, replace(limits, duration_s=math.inf))
    if can_copy(info):
        return None
    length_s = limits.duration_s if info.duration_s > limits.duration_s else None
    with PREVIEWS:
        silence = np.zeros(1, np.float32)
        return mux(path, silence, 16_000, public_folder() / "preview.mp4", duration_s=length_s, limits=limits)


def summary(info: ClipInfo) -> str:
    sound = "with sound" if info.has_audio else "silent"
    return f"{info.duration_s:.1f} s · {info.width}×{info.height} · {info.fps:.3g} fps · {sound}"
