"""How long the body of a request may be: Gradio has it in memory as a whole, and JSON of 50 MB there as 2 GB."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MESSAGE_BYTES = 32_000_000  # the page's have a hundredth of that; a program's may bring a photo along
AROUND_FILE_BYTES = 1_000_000
UPLOAD = "/gradio_api/upload"  # the whole of it: /gradio_api/run/upload would be something else
TOO_LONG = "This request is too long. Send photos to /gradio_api/upload first, and give what that answers in their place."


class BoundedBodies:
    """ASGI middleware that answers 413 to a body of more than MESSAGE_BYTES, or of more than one file of `file_bytes`.

    What programs upload goes to disk as it comes, so it is left to Gradio, which bounds each file.
    """

    def __init__(self, app: ASGIApp, file_bytes: int) -> None:
        self.app, self.file_bytes = app, file_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].rstrip("/").endswith(UPLOAD):
            await self.app(scope, receive, send)
            return
        is_file = Headers(scope=scope).get("content-type", "").startswith("multipart/form-data")
        room = self.file_bytes + AROUND_FILE_BYTES if is_file else MESSAGE_BYTES

        async def counted() -> Message:
            nonlocal room
            message = await receive()
            room -= len(message.get("body", b""))
            if room < 0:
                raise HTTPException(413, TOO_LONG)
            return message

        await self.app(scope, counted, send)
