"""A DICOMweb server: pictures by WADO-RS, studies that go by another name found by QIDO-RS (PS3.18)."""

from __future__ import annotations

import asyncio
import logging
import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from harness.dicom import is_uid, load_pydicom
from harness.errors import ServiceError
from harness.service.contract import ImageReference
from harness.service.sources.base import ImageMissing, ImageSource, SourceFailure
from harness.service.sources.folder import MOST_BYTES

if TYPE_CHECKING:
    import httpx
    import requests

_TIMEOUT_S: Final = 20.0
"""For one question, from the first byte out to the last in."""
_CANNOT_DECOMPRESS: Final = (400, 406, 415, 500, 501)
"""What servers answer who cannot: 406 by the standard, 500 in Orthanc's case."""
_MISSING: Final = "the DICOMweb server has no such instance"
_MOST_STUDIES: Final = 50
"""That are found by a number; one should be, and servers may cut a longer list short."""
_UNCOMPRESSED: Final = "1.2.840.10008.1.2.1"
_DEFLATED: Final = b"1.2.840.10008.1.2.1.99"
_EPILOGUE: Final = 256
"""Bytes that may follow a multipart answer's end."""


class DicomwebSource(ImageSource):
    """Pictures of a PACS or archive. The server is asked for uncompressed pixels, then for any it has.

    A study id that is no unique identifier is an Accession Number or Study ID: the instance is searched
    by its series and its own identifier, and its study taken from there. Which studies bear the number is
    searched too (QIDO-RS).

    An answer is read whole or not at all: within `_TIMEOUT_S` and `MOST_BYTES`, to its closing boundary,
    with the one instance that was asked for in it. No redirect is followed.

    Args:
        place: the service's root, such as http://localhost:8042/dicom-web; user:password@ before the host
            is used as basic authentication.

    Raises:
        ServiceError: not such a URL.
    """

    def __init__(self, place: str) -> None:
        try:
            parts = urlsplit(place)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
            raise ServiceError(
                "dicomweb: name the service by its URL, such as dicomweb:https://host/dicom-web"
            )
        host = f"[{host}]" if ":" in host else host
        self._url = f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{parts.path}".rstrip("/")
        self._login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        # The system's authorities: a hospital's own is there. Read once, not at each question.
        self._tls = ssl.create_default_context() if parts.scheme == "https" else False

    def open(self) -> None:
        """Asks the server for one study.

        Raises:
            ServiceError: it cannot be reached or is no DICOMweb service, or a package is missing.
        """
        try:
            import dicomweb_client  # noqa: F401
            import httpx  # noqa: F401

            load_pydicom()
        except ImportError:
            raise ServiceError('dicomweb: pip install "harness[service]"') from None
        for name in ("dicomweb_client", "httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # they write identifiers
        warnings.filterwarnings("ignore", module="dicomweb_client")
        try:
            with _faults_told():
                self._client().search_for_studies(limit=1)
        except ServiceError as error:
            raise ServiceError(f"{self._url}: {error}; is it running, and is this its root?") from None

    def studies(self, number: str) -> set[str]:
        """Searches twice. What the server finds besides, by a looser comparison, does not count."""
        found: set[str] = set()
        with _faults_told():
            client = self._client()
            for name, tag in (("AccessionNumber", "00080050"), ("StudyID", "00200010")):
                told = client.search_for_studies(
                    search_filters={name: number}, fields=["StudyInstanceUID", name], limit=_MOST_STUDIES
                )
                if len(told) >= _MOST_STUDIES:
                    raise _Unusable("finds too many studies of one number; ask by Study Instance UID")
                for item in told:
                    values = item.get(tag, {}).get("Value") or [""]
                    if str(values[0] or "").strip() == number:
                        found.add(str(item["0020000D"]["Value"][0]))
        return found

    def fetch(self, study_id: str, image: ImageReference, folder: Path) -> Path:
        """The instance, written to a file."""
        path = folder / f"{image.instance_uid}.dcm"
        with _faults_told():
            client = self._client()
            study = study_id if is_uid(study_id) else self._study(client, image)
            instance = self._instance(client, study, image)
            if instance.SOPInstanceUID != image.instance_uid:
                raise _Unusable("sends another instance than the one asked for")
            instance.save_as(path, enforce_file_format=True)
        return path

    def _instance(self, client: Any, study: str, image: ImageReference) -> Any:
        import requests

        asked = (study, image.series_uid, image.instance_uid)
        try:
            return client.retrieve_instance(*asked, media_types=(("application/dicom", _UNCOMPRESSED),))
        except requests.HTTPError as error:
            if _status(error) in (404, 410):
                raise ImageMissing(_MISSING) from None
            if _status(error) not in _CANNOT_DECOMPRESS:
                raise
        # Perhaps there is a decoder here.
        return client.retrieve_instance(*asked, media_types=(("application/dicom", "*"),))

    def _study(self, client: Any, image: ImageReference) -> str:
        found = client.search_for_instances(
            search_filters={"SeriesInstanceUID": image.series_uid, "SOPInstanceUID": image.instance_uid},
            fields=["StudyInstanceUID"],
        )
        studies: set[str] = {item["0020000D"]["Value"][0] for item in found}
        if not studies:
            raise ImageMissing(_MISSING)
        if len(studies) > 1:
            raise _Unusable("has the instance in several studies; remove all but the right one")
        return studies.pop()

    def _client(self) -> Any:
        from dicomweb_client.api import DICOMwebClient

        client = DICOMwebClient(self._url, session=_session(self._login, self._tls))
        client.set_http_retry_params(retry=False)
        return client


class _Unusable(Exception):  # noqa: N818 - never leaves this file
    """What the server does instead; no word of its own is in it."""


def _status(error: requests.HTTPError) -> int:
    return 0 if error.response is None else error.response.status_code


@contextmanager
def _faults_told() -> Iterator[None]:
    """Turns whatever goes wrong with a server into a `SourceFailure`."""
    import httpx
    import requests

    try:
        yield
        return
    except ImageMissing:
        raise
    except _Unusable as error:
        told = str(error)
    except TimeoutError:
        told = f"has not given its whole answer within {_TIMEOUT_S:g} s"
    except httpx.ConnectError:
        told = "cannot be reached"
    except httpx.HTTPError as error:
        told = f"breaks off ({type(error).__name__})"
    except requests.HTTPError as error:
        status = _status(error)
        told = f"answers {status}"
        if status in (401, 403):
            told += "; it must let this service in: dicomweb:https://USER:PASSWORD@HOST/..."
    except Exception as error:  # of pydicom and dicomweb-client, on any kind of nonsense
        if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
            raise  # this machine's own: no room for the file, too many are open
        told = f"sends something that is no DICOM instance ({type(error).__name__})"
    raise SourceFailure(f"the DICOMweb server {told}") from None


def _session(login: tuple[str, str] | None, tls: ssl.SSLContext | bool) -> Any:
    """A session for dicomweb-client whose answers come by `_ask`.

    requests itself waits for each byte anew, however long the whole takes, and reads without a limit.
    """
    import requests

    class Adapter(requests.adapters.BaseAdapter):
        def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
            response = requests.Response()
            headers = {
                name: value.decode("latin-1") if isinstance(value, bytes) else value
                for name, value in request.headers.items()
                if name != "Host"  # dicomweb-client leaves the port out
            }
            told, body = asyncio.run(_ask(str(request.url), headers, tls))
            response.status_code, response.url, response.request = told.status_code, str(request.url), request
            response.headers.update(told.headers)
            response.raw = BytesIO(body)
            return response

        def close(self) -> None:
            pass

    session = requests.Session()
    session.trust_env = False  # no .netrc of this machine
    session.auth = login
    session.headers["Accept-Encoding"] = "identity"
    for scheme in ("http://", "https://"):
        session.mount(scheme, Adapter())
    return session


async def _ask(url: str, headers: dict[str, str], tls: ssl.SSLContext | bool) -> tuple[httpx.Response, bytes]:
    """One answer and its body, whole; that of an error is not read.

    Raises:
        TimeoutError, httpx.HTTPError, _Unusable: there is none.
    """
    import httpx

    async with (
        asyncio.timeout(_TIMEOUT_S),
        # No proxy of the environment for a hospital's pictures.
        httpx.AsyncClient(verify=tls, timeout=None, trust_env=False) as client,  # noqa: S113 - above
        client.stream("GET", url, headers=headers) as response,
    ):
        if 300 <= response.status_code < 400:
            raise _Unusable("answers with a redirect; name the service by the URL where it is")
        if response.status_code >= 400:
            return response, b""
        if response.headers.get("content-encoding", "identity") != "identity":
            raise _Unusable("sends an encoded answer, which was not asked for")
        too_long = _Unusable(f"sends more than {MOST_BYTES:,} bytes")
        stated = response.headers.get("content-length", "")
        if stated.isdecimal() and int(stated) > MOST_BYTES:
            raise too_long
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MOST_BYTES:
                raise too_long
    _check(response.headers.get("content-type", ""), body)
    return response, bytes(body)


def _check(content_type: str, body: bytearray) -> None:
    """Refuses what dicomweb-client would take for an instance, or should not have in its hands."""
    told = Message()
    told["content-type"] = content_type
    kind = told.get_content_type()
    if not body or kind in ("application/dicom+json", "application/json"):
        return  # what was found; the client reads it
    if kind not in ("multipart/related", "application/dicom"):
        raise _Unusable("sends no multipart/related answer; is it a DICOMweb service?")
    if kind == "multipart/related":
        mark = b"--" + str(told.get_param("boundary", "")).encode()
        if mark == b"--" or mark + b"--" not in body[-len(mark) - _EPILOGUE :]:
            raise _Unusable("breaks off before the closing boundary")
        if body.count(b"\r\n" + mark) + body.startswith(mark) != 2:
            raise _Unusable("sends none or several instances where one was asked for")
    if _DEFLATED in body:
        raise _Unusable("sends a deflated instance, which could inflate to any size")
