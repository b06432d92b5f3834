"""Runs the application: address, encryption, signals, logs."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.errors import ServiceError

_DRAIN_S: Final = 120
"""Seconds for what was taken, once the end was asked for."""
_HEADER_S: Final = 10.0
"""Seconds in which a request's header must come, from the connection or the header's first byte."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the service listens, and how it knows its clients."""

    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = None
    certificate: Path | None = None
    """PEM, with its chain."""
    key: Path | None = None
    client_authority: Path | None = None
    """PEM; clients must show a certificate that it signed (mutual TLS)."""

    def check(self) -> None:
        """Refuses to be reached from elsewhere by everybody.

        Raises:
            ServiceError: neither token nor client authority on an address that is not loopback; half a
                pair of certificate and key; a client authority without them; a file that is not there.
        """
        if (self.certificate is None) != (self.key is None):
            raise ServiceError("TLS needs both --tls-certificate and --tls-key")
        if self.client_authority is not None and self.certificate is None:
            raise ServiceError("--tls-client-ca needs --tls-certificate and --tls-key")
        for path in (self.certificate, self.key, self.client_authority):
            if path is not None and not path.is_file():
                raise ServiceError(f"{path}: no such file")
        if not self.loopback and self.token is None and self.client_authority is None:
            raise ServiceError(
                f"{self.host}: others can reach this address; give --token-file or --tls-client-ca, "
                "or listen on 127.0.0.1"
            )

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def run_server(app: Any, address: Address, ready: Callable[[str], None]) -> None:
    """Serves until SIGTERM or SIGINT, then finishes what was taken. A second signal ends it at once.

    Args:
        app: an ASGI application.
        address: checked.
        ready: called with the URL once connections are taken.

    Raises:
        ServiceError: the address cannot be listened on, a certificate cannot be used, or uvicorn is not
            installed. KeyboardInterrupt: after SIGINT, when all is finished.
    """
    try:
        import uvicorn
    except ImportError:
        raise ServiceError('serving needs uvicorn; pip install "harness[service]"') from None
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).addFilter(_without_traceback)
    config = uvicorn.Config(
        app,
        http=_protocol(),
        loop="asyncio",
        access_log=False,  # its lines hold paths, and those hold study ids
        log_config=None,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_S,
        ssl_certfile=address.certificate,
        ssl_keyfile=address.key,
        ssl_ca_certs=None if address.client_authority is None else str(address.client_authority),
        ssl_cert_reqs=ssl.CERT_NONE if address.client_authority is None else ssl.CERT_REQUIRED,
    )
    try:
        config.load()
    except (ssl.SSLError, OSError) as error:
        raise ServiceError(
            f"--tls-certificate, --tls-key or --tls-client-ca holds what cannot be used: {error}"
        ) from None
    try:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen(2048)
    except OSError as error:
        raise ServiceError(f"{address.host}:{address.port}: cannot listen there: {error.strerror}") from None
    host = f"[{address.host}]" if ":" in address.host else address.host
    scheme = "http" if address.certificate is None else "https"
    ready(f"{scheme}://{host}:{listener.getsockname()[1]}")
    # uvicorn raises the signals that ended it again when all is done: SIGTERM is a good end here.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        signal.signal(signal.SIGTERM, before)
        listener.close()


def _protocol() -> Any:
    """The protocol of uvicorn, which waits for ever for a header, with an end to that."""
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    class Protocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        _header_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait_for_header()

        def data_received(self, data: bytes) -> None:
            before = self.cycle
            super().data_received(data)
            if self.cycle is not before:  # a header is complete
                self._stop_waiting()
            elif self.cycle is not None and self.cycle.response_complete:
                self._wait_for_header()  # the next one's first bytes, on the same connection

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _wait_for_header(self) -> None:
            if self._header_timer is None:
                self._header_timer = self.loop.call_later(_HEADER_S, self.transport.close)

        def _stop_waiting(self) -> None:
            if self._header_timer is not None:
                self._header_timer.cancel()
                self._header_timer = None

    return Protocol


def _without_traceback(record: logging.LogRecord) -> bool:
    """A traceback's last line, and its locals' words, may be a patient's."""
    record.exc_info = record.exc_text = None
    return True
