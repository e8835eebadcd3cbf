"""What is asked before the framework sees a request: its size, its sender's share, and no foreign address."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gradio.route_utils import API_PREFIX
from gradio.utils import get_upload_folder
from gradio_client.utils import is_http_url_like
from starlette.responses import JSONResponse

from stav2a.media.limits import InputError
from stav2a.ui.shares import TOO_MANY, Allowance, Room, room_of, sender

TOO_LARGE = "The request is too large."
NO_LENGTH = "The request does not say how long it is."
ADDRESS = "Addresses are not fetched here."


@dataclass(frozen=True)
class Shares:
    """What one sender may ask for. Machines in the same network are told apart by `sender` or not counted at all."""

    upload_mb: float = 1000.0  # in an hour
    requests: float = 600.0  # that change something, in a minute
    request_mb: float = 8.0  # of one request that is no upload


class Gate:
    """ASGI middleware around the framework's app."""

    def __init__(self, app, shares: Shares = Shares(), room: Room | None = None):
        self.app, self.shares = app, shares
        self.room = room or room_of(Path(get_upload_folder()))
        self.uploads = Allowance(shares.upload_mb, 3600)
        self.requests = Allowance(shares.requests, 60)

    async def __call__(self, scope, receive, send) -> None:
        refusal = self.refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self.app(scope, receive, send)
            return
        status, sentence = refusal
        # the rest of a body that is not read must not be taken for the next request
        answer = JSONResponse({"detail": sentence, "error": sentence}, status, headers={"connection": "close"})
        await answer(scope, receive, send)

    def refusal(self, scope) -> tuple[int, str] | None:
        """(status, sentence) where the request is not let through."""
        path = scope["path"]
        asked = path.partition(API_PREFIX)[2]
        file = asked.removeprefix("/file=")
        if asked.startswith("/proxy=") or (file != asked and is_http_url_like(file)):
            return 403, ADDRESS
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return None
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return (411, NO_LENGTH) if "transfer-encoding" in headers else None
        megabytes, who = int(length) / 1e6, sender(scope.get("client"), headers)
        if not self.requests.take(who):
            return 429, TOO_MANY
        if not asked.startswith("/upload"):
            return (413, TOO_LARGE) if megabytes > self.shares.request_mb else None
        if not self.uploads.take(who, megabytes):
            return 429, TOO_MANY
        try:
            self.room.check(megabytes)
        except InputError as full:
            return 507, str(full)
        return None
