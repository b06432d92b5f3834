"""One question to a service, and its answer: a deadline on all of it, a limit on its size, and retries."""

from __future__ import annotations

import asyncio
import email.utils
import ipaddress
import logging
import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from harness.errors import CandidateError, GenerationError

ANSWER_LIMIT: Final = 1 << 20
"""Bytes of the longest answer that is read; a report has some thousand."""
ATTEMPTS: Final = 4
"""How often a question is put to a service that is not there; one that says "later" is asked until the
deadline."""
_CONNECT_S: Final = 5.0
_BACKOFF_S: Final = 0.2
_WAIT_S: Final = 1.0
"""Seconds to wait where a service says "later" and not when."""


class UnreachableError(GenerationError):
    """The connection could not be made, or was lost each time.

    Args:
        told: how.
        met: somebody was there, and hung up.
    """

    def __init__(self, told: str, *, met: bool = False) -> None:
        super().__init__(told)
        self.met = met


class UntrustedError(UnreachableError):
    """The service's certificate is not that of its host, or of no authority that is trusted."""


class TooLargeError(GenerationError):
    """The answer is longer than any report."""


class UnusableAnswerError(GenerationError):
    """The answer is none of the contract: a redirect, an encoding or a type that was not asked for."""


class LateError(TimeoutError):
    """No answer within the deadline, or the service says that there will be none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole. `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the service is and how it is spoken to. It holds no secret, only where one is found.

    Attributes:
        url: `http://` or `https://`, host, port, and the path that the service's own paths begin with.
        token_env: name of the environment variable that holds the bearer token.
        ca: certificates (PEM) to trust instead of the system's.
        certificate, key: what this side shows for mutual TLS (PEM); the key may be in `certificate`.

    Raises:
        CandidateError: not such a URL, a secret in it, a token that would travel unencrypted, or a
            file that is not there.
    """

    url: str
    token_env: str | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host, parts = None, urlsplit("")
        if parts.scheme not in ("http", "https") or not host:
            raise CandidateError("the service's URL must read http://HOST:PORT or https://HOST:PORT")
        if parts.username or parts.password:
            raise CandidateError(
                "the URL holds a user name or password, which would be written down with every run; name an "
                "environment variable: token_env=NAME"
            )
        if parts.fragment or parts.query:
            raise CandidateError("the service's URL must have neither a query nor a fragment")
        if self.token_env and parts.scheme == "http" and not is_loopback(host):
            raise CandidateError("a token is sent over https only, or to this machine; use an https:// URL")
        for file in (self.ca, self.certificate, self.key):
            if file is not None and not file.is_file():
                raise CandidateError(f"{file}: no such file")
        if self.key is not None and self.certificate is None:
            raise CandidateError("key needs certificate")

    def token(self) -> str | None:
        """The bearer token; None where the service asks for none.

        Raises:
            CandidateError: the environment variable is not set, or cannot be a token.
        """
        if self.token_env is None:
            return None
        token = os.environ.get(self.token_env, "")
        if not token:
            raise CandidateError(f"{self.token_env}: the environment variable is not set; it holds the token")
        if not token.isascii() or not token.isprintable() or " " in token:
            raise CandidateError(f"{self.token_env}: holds something that cannot be a bearer token")
        return token

    def verify(self) -> ssl.SSLContext:
        """How the service's certificate is checked, and what is shown to it.

        Raises:
            CandidateError: a file holds no certificate or key.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.certificate is not None:
                # A key with a passphrase is refused: nobody is there to type it.
                context.load_cert_chain(self.certificate, self.key, password="")
        except (ssl.SSLError, OSError) as error:
            raise CandidateError(f"certificates cannot be used: {type(error).__name__}") from None
        return context


class Client:
    """Puts one question after another, over connections that are kept open.

    Args:
        endpoint: where to.
        deadline_s: seconds for one question with its retries, from the first byte out to the last in.

    Raises:
        CandidateError: the token or a certificate is not there.
    """

    def __init__(self, endpoint: Endpoint, deadline_s: float) -> None:
        # httpx writes down every URL, and a study's id stands in it.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._base = endpoint.url.rstrip("/")
        self._deadline_s = deadline_s
        headers = {"accept-encoding": "identity", "user-agent": "harness"}
        if (token := endpoint.token()) is not None:
            headers["authorization"] = f"Bearer {token}"
        self._runner = asyncio.Runner()
        self._http = httpx.AsyncClient(
            headers=headers,
            verify=endpoint.verify(),
            timeout=httpx.Timeout(None, connect=_CONNECT_S),
            follow_redirects=False,
            trust_env=False,  # neither a proxy nor a .netrc of this machine has to do with patients' data
        )

    def close(self) -> None:
        """Closes all connections."""
        self._runner.run(self._http.aclose())
        self._runner.close()

    def ask(
        self, method: str, path: str, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One question and its answer, of any status but those that mean "again" or "later".

        408, 429 and 503 are asked again after `Retry-After`, 502 and lost connections after a short while.

        Raises:
            LateError: none within the deadline. UnreachableError, UntrustedError, TooLargeError,
            UnusableAnswerError: see there.
        """
        return self._runner.run(self._within(method, path, content, headers or {}))

    async def _within(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        until = time.monotonic() + self._deadline_s
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._retried(method, path, content, headers, until)
        except LateError:
            raise
        except TimeoutError:
            raise LateError(f"no answer within {self._deadline_s:g} s") from None

    async def _retried(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str], until: float
    ) -> Answer:
        failures = 0
        while True:
            try:
                answer = await self._once(method, path, content, headers)
                if answer.status not in (408, 429, 502, 503):
                    return answer
                lost, met = "status 502" if answer.status == 502 else "", False
                wait = retry_after(answer.headers.get("retry-after"))
            except httpx.TransportError as error:
                if (why := _distrust(error)) is not None:
                    raise UntrustedError(why) from None
                lost, met = type(error).__name__, not isinstance(error, httpx.ConnectError)
            if lost:
                failures += 1
                wait = _BACKOFF_S * 2**failures
                if failures == ATTEMPTS:
                    raise UnreachableError(f"{ATTEMPTS} attempts: {lost}", met=met)
            if time.monotonic() + wait >= until:
                raise LateError("the service asks to wait for longer than there is time")
            await asyncio.sleep(wait)

    async def _once(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        async with self._http.stream(
            method, self._base + path, content=content, headers=dict(headers)
        ) as response:
            if response.is_redirect:
                raise UnusableAnswerError("a redirect: studies are sent to the named service only")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise UnusableAnswerError("an encoded answer, which was not asked for")
            length = response.headers.get("content-length", "")
            if length.isdecimal() and int(length) > ANSWER_LIMIT:
                raise TooLargeError(f"more than {ANSWER_LIMIT} bytes")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > ANSWER_LIMIT:
                    raise TooLargeError(f"more than {ANSWER_LIMIT} bytes")
            return Answer(response.status_code, dict(response.headers), bytes(body))


def _distrust(error: BaseException | None) -> str | None:
    """Why the service's certificate is not taken, in OpenSSL's words; None where that is not what failed."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or error.__context__
    return None


def retry_after(value: str | None) -> float:
    """Seconds that a `Retry-After` header asks to wait (RFC 9110, section 10.2.3): a number or a date.

    At least 0.05; one second where it is missing or makes no sense.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdecimal():
        return max(0.05, float(text))
    try:
        at = email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return _WAIT_S
    return max(0.05, at - time.time())


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
