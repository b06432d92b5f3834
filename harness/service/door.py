"""What every request passes: a number, a bearer token, a line in the log, and no traceback."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, Final

from harness.service.contract import PATH
from harness.service.metrics import Metrics
from harness.service.refusals import Refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

LOG: Final = logging.getLogger("harness.service")
OPEN: Final = ("/healthz", "/readyz")
"""Paths that need no token: whoever watches the process may not have one."""
_ROUTES: Final = (*OPEN, "/metrics", "/openapi.json")


class Door:
    """ASGI middleware (not Starlette's, which lets the server write tracebacks, and those hold texts).

    Args:
        inside: the application.
        metrics: told of every request for a report.
        token: the bearer token; None: none is asked for.
    """

    def __init__(self, inside: Application, metrics: Metrics, token: str | None) -> None:
        self._inside, self._metrics = inside, metrics
        self._token = None if token is None else hashlib.sha256(token.encode()).digest()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._inside(scope, receive, send)
            return
        began, number, status = time.monotonic(), secrets.token_hex(8), 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", number.encode())]
            await send(message)

        try:
            if scope["path"] not in OPEN and not self._admitted(scope):
                raise Refusal("unauthorised", "send Authorization: Bearer and the service's token")
            await self._inside(scope, receive, sent)
        except Exception as error:
            if not isinstance(error, Refusal):
                LOG.error("%s %s", number, _place(error))
                error = Refusal("internal", "the service's log tells where, under the request's number")
            if status == 0:
                await send_refusal(error, sent)
        taken = time.monotonic() - began
        route = _route(scope["path"])
        if route == PATH:
            self._metrics.requests.labels(str(status)).inc()
            self._metrics.seconds.observe(taken)
        LOG.info("%s %s %s %d %.0f ms", number, scope["method"], route, status, taken * 1e3)

    def _admitted(self, scope: Message) -> bool:
        if self._token is None:
            return True
        values = [value for name, value in scope["headers"] if name == b"authorization"]
        kind, _, token = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
        given = hashlib.sha256(token.strip()).digest()
        return hmac.compare_digest(given, self._token) and kind.lower() == b"bearer"


async def send_refusal(refusal: Refusal, send: Send) -> None:
    """A refusal as `application/problem+json`."""
    body = refusal.problem.model_dump_json().encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if refusal.retry_after_s is not None:
        headers.append((b"retry-after", str(refusal.retry_after_s).encode()))
    if refusal.kind == "unauthorised":
        headers.append((b"www-authenticate", b"Bearer"))
    if refusal.kind == "method-not-allowed":
        headers.append((b"allow", refusal.detail.rpartition(" ")[2].encode()))
    if refusal.status in (401, 413, 408):  # the rest of the body is not read
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _route(path: str) -> str:
    """The route a path is of; never the path, which holds a study's id."""
    if path in _ROUTES:
        return path
    before, after = PATH.split("{study_id}")
    return PATH if path.startswith(before) and path.endswith(after) else "another path"


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    last = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return f"{type(error).__name__} at {last}"
