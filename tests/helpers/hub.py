"""A hub of our own on 127.0.0.1: repositories are folders, answers are those huggingface_hub asks for."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """`requests` lists what was asked: (method, path, range). `cut`: bytes after which a file's next answer ends."""

    daemon_threads = True

    def __init__(self, repositories: dict[str, Path]):
        super().__init__(("127.0.0.1", 0), Answer)
        self.repositories = repositories
        self.requests: list[tuple[str, str, str | None]] = []
        self.cut: dict[str, int] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_GET(self):
        self.answer(body=True)

    def do_HEAD(self):
        self.answer(body=False)

    def answer(self, body: bool) -> None:
        path = urlsplit(self.path).path.strip("/")
        self.server.requests.append((self.command, path, self.headers.get("Range")))
        words = path.removeprefix("api/models/").split("/")
        folder = self.server.repositories.get("/".join(words[:2]))
        if folder is None:
            self.reply(404, b"", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}, body)
        elif path.startswith("api/") and "/tree/" in path:
            entries = [tree_entry(sibling(p, folder)) for p in sorted(folder.rglob("*")) if p.is_file()]
            self.reply(200, json.dumps(entries).encode(), {"Content-Type": "application/json"}, body)
        elif path.startswith("api/"):
            files = sorted(p for p in folder.rglob("*") if p.is_file())
            siblings = [sibling(p, folder) for p in files]
            about = {"id": "/".join(words[:2]), "modelId": "/".join(words[:2]), "sha": COMMIT, "siblings": siblings}
            about |= {"private": False, "downloads": 0, "likes": 0, "tags": []}
            self.reply(200, json.dumps(about).encode(), {"Content-Type": "application/json"}, body)
        elif (file := folder.joinpath(*words[4:])).is_file():
            self.send_file(file, "/".join(words[4:]), body)
        else:
            self.reply(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, body)

    def send_file(self, file: Path, name: str, body: bool) -> None:
        content = file.read_bytes()
        start = int((self.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
        headers = {"ETag": f'"{digest(content)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        limit = self.server.cut.pop(name, None) if body else None
        self.reply(206 if start else 200, content[start:], headers, body, limit)

    def reply(self, status: int, content: bytes, headers: dict, body: bool, limit: int | None = None) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content[:limit])
        if limit is not None:
            self.wfile.flush()
            self.close_connection = True

    def log_message(self, *args):
        """Quiet: a test reads `requests` instead."""


def sibling(file: Path, folder: Path) -> dict:
    content = file.read_bytes()
    lfs = {"sha256": digest(content), "size": len(content), "pointerSize": 134}
    entry = {"rfilename": file.relative_to(folder).as_posix(), "size": len(content), "blobId": "0" * 40}
    return {**entry, "lfs": lfs} if file.suffix in (".bin", ".safetensors", ".ckpt", ".model") else entry


def tree_entry(entry: dict) -> dict:
    lfs = {"oid": entry["lfs"]["sha256"], **entry["lfs"]} if "lfs" in entry else None
    return {"type": "file", "path": entry["rfilename"], "size": entry["size"], "oid": "0" * 40, "lfs": lfs}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def serving(repositories: dict[str, Path]):
    hub = Hub(repositories)
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
