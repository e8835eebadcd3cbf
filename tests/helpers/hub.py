"""A hub of our own on 127.0.0.1: repositories are folders, answers are those huggingface_hub asks for.

Spaces can be made and written to: small text goes in the commit, everything else as Git LFS objects, which is how
huggingface_hub sends large files where xet is switched off.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_writes"  # the token that may write to `OWNER`
OWNER = "somebody"
LARGEST_PLAIN = 10_000_000  # bytes; the hub stores what is larger as a large file only
ATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"  # a new repository's


class Hub(ThreadingHTTPServer):
    """`requests` lists what was asked: (method, path, range). `cut`: bytes after which a file's next answer ends.

    `spaces`: the folder in which Spaces are made; `made`: what was asked for each; `large`: paths that came as large
    files; `fails`: what the next answers to a path are, (status, message) each.
    """

    daemon_threads = True

    def __init__(self, repositories: dict[str, Path], spaces: Path | None = None):
        super().__init__(("127.0.0.1", 0), Answer)
        self.repositories = repositories
        self.requests: list[tuple[str, str, str | None]] = []
        self.cut: dict[str, int] = {}
        self.spaces = spaces
        self.made: dict[str, dict] = {}
        self.large: set[str] = set()
        self.objects: dict[str, bytes] = {}
        self.fails: dict[str, tuple[int, str]] = {}

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
        words = re.sub(r"^api/(models|spaces)/", "", path).split("/")
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

    # ---- writing

    def do_PUT(self):
        content = self.body()
        oid = urlsplit(self.path).path.rpartition("/")[2]
        self.server.objects[oid] = content
        self.reply(200 if digest(content) == oid else 400, b"", {}, True)

    def do_POST(self):
        path = urlsplit(self.path).path.strip("/")
        self.server.requests.append((self.command, path, None))
        content = self.body()
        what = path.rpartition("/")[2] if path.endswith(("create", "validate-yaml", "batch")) else path.split("/")[4]
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.refuse(401, "Invalid username or password.")
        elif what in self.server.fails:
            self.refuse(*self.server.fails[what])
        else:
            getattr(self, f"post_{what.replace('-', '_')}")(path, content)

    def post_create(self, path: str, content: bytes) -> None:
        asked = json.loads(content)
        name = f"{asked['organization']}/{asked['name']}"
        if asked["organization"] != OWNER:
            self.refuse(403, f"You don't have the rights to create a space under the namespace {OWNER!r}")
        elif name in self.server.repositories:
            self.refuse(409, "You already created this space repo", url=f"{self.server.url}/spaces/{name}")
        else:
            folder = self.server.spaces / name
            folder.mkdir(parents=True)
            (folder / ".gitattributes").write_bytes(ATTRIBUTES)
            self.server.repositories[name], self.server.made[name] = folder, asked
            self.answer_json({"url": f"{self.server.url}/spaces/{name}"})

    def post_validate_yaml(self, path: str, content: bytes) -> None:
        self.answer_json({"errors": [], "warnings": []})

    def post_preupload(self, path: str, content: bytes) -> None:
        files = json.loads(content)["files"]
        modes = [
            {"path": file["path"], "uploadMode": "lfs" if is_large(file) else "regular", "shouldIgnore": False}
            for file in files
        ]
        self.answer_json({"files": modes})

    def post_batch(self, path: str, content: bytes) -> None:
        objects = [
            {**entry, "actions": {"upload": {"href": f"{self.server.url}/objects/{entry['oid']}"}}}
            for entry in json.loads(content)["objects"]
        ]
        self.answer_json({"transfer": "basic", "objects": objects})

    def post_commit(self, path: str, content: bytes) -> None:
        name = "/".join(path.split("/")[2:4])
        folder = self.server.repositories[name]
        for line in content.splitlines():
            key, value = (entry := json.loads(line))["key"], entry["value"]
            if key == "deletedFile":
                (folder / value["path"]).unlink()
            elif key in ("file", "lfsFile"):
                target = folder / value["path"]
                target.parent.mkdir(parents=True, exist_ok=True)
                plain = key == "file"
                target.write_bytes(base64.b64decode(value["content"]) if plain else self.server.objects[value["oid"]])
                self.server.large |= set() if plain else {value["path"]}
        self.answer_json({"commitUrl": f"{self.server.url}/spaces/{name}/commit/{COMMIT}", "commitOid": COMMIT})

    def body(self) -> bytes:
        if length := self.headers.get("Content-Length"):
            return self.rfile.read(int(length))
        read = b""  # chunked
        while size := int(self.rfile.readline(), 16):
            read += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return read

    def answer_json(self, answer: dict) -> None:
        self.reply(200, json.dumps(answer).encode(), {"Content-Type": "application/json"}, True)

    def refuse(self, status: int, message: str, **more: str) -> None:
        """An error; 0 breaks the connection off."""
        if not status:
            self.close_connection = True
            return
        self.reply(
            status,
            json.dumps({"error": message, "errors": [{"message": message}], **more}).encode(),
            {"Content-Type": "application/json"},
            True,
        )

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


def is_large(file: dict) -> bool:
    """Whether the hub stores a file of a preupload as a large one: by its size, its name, or as it is binary."""
    sample = base64.b64decode(file["sample"])
    return file["size"] > LARGEST_PLAIN or file["path"].endswith(".safetensors") or b"\0" in sample


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def serving(repositories: dict[str, Path], spaces: Path | None = None):
    hub = Hub(repositories, spaces)
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
