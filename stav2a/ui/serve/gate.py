"""Checks of a request before Gradio sees it: its size, the sender's share, and that it names no foreign URL."""

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
NO_LENGTH = "The request has no Content-Length header."
ADDRESS = "This server fetches no web addresses."


@dataclass(frozen=True)
class Shares:
    """Limits for one sender, as `sender` identifies it. Machines in the server's own network are not limited."""

    upload_mb: float = 1000.0  # per hour
    requests: float = 600.0  # requests that change something, per minute
    request_mb: float = 8.0  # size of one request that is not an upload


class Gate:
    """ASGI middleware around Gradio's app."""

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
        # an unread rest of the body must not be parsed as the next request
        answer = JSONResponse({"detail": sentence, "error": sentence}, status, headers={"connection": "close"})
        await answer(scope, receive, send)

    def refusal(self, scope) -> tuple[int, str] | None:
        """(status, sentence) if the request is refused, else None."""
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
