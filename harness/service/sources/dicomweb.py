"""A DICOMweb server: pictures by WADO-RS, studies that go by another name found by QIDO-RS (PS3.18)."""

from __future__ import annotations

import logging
import re
import time
import warnings
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from harness.errors import ServiceError
from harness.service.contract import UID, ImageReference
from harness.service.sources.base import ImageMissing, ImageSource, SourceFailure
from harness.service.sources.folder import MOST_BYTES

_TIMEOUT_S: Final = 20.0
_UID: Final = re.compile(UID)


class DicomwebSource(ImageSource):
    """Pictures of a PACS or archive. The server is asked for uncompressed pixels.

    A study id that is no unique identifier is an Accession Number or Study ID: the instance is searched
    by its series and its own identifier, and its study taken from there.

    Args:
        place: the service's root, such as http://localhost:8042/dicom-web; user:password@ before the host
            is used as basic authentication.
    """

    def __init__(self, place: str) -> None:
        parts = urlsplit(place)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ServiceError(
                "dicomweb: name the service by its URL, such as dicomweb:https://host/dicom-web"
            )
        host = parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"
        self._url = f"{parts.scheme}://{host}{parts.path}".rstrip("/")
        self._login = (parts.username, parts.password or "") if parts.username else None

    def open(self) -> None:
        """Asks the server for one study.

        Raises:
            ServiceError: it cannot be reached or is no DICOMweb service, or dicomweb-client is missing.
        """
        try:
            import dicomweb_client  # noqa: F401
        except ImportError:
            raise ServiceError('dicomweb: pip install "harness[service]"') from None
        for name in ("dicomweb_client", "urllib3", "pydicom"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # they write identifiers
        try:
            self._client().search_for_studies(limit=1)
        except Exception as error:
            raise ServiceError(
                f"{self._url}: no DICOMweb service answers there ({type(error).__name__}); is it running?"
            ) from None

    def fetch(self, study_id: str, image: ImageReference, folder: Path) -> Path:
        """The instance, written to a file."""
        import requests

        try:
            client = self._client()
            uid = study_id if _UID.match(study_id) else self._study(client, image)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom's quote values of the file
                file = client.retrieve_instance(uid, image.series_uid, image.instance_uid)
                path = folder / f"{image.instance_uid}.dcm"
                file.save_as(path, enforce_file_format=True)
        except ImageMissing:
            raise
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            if status in (404, 410):
                raise ImageMissing("the DICOMweb server has no such instance") from None
            raise SourceFailure(f"the DICOMweb server answers {status}") from None
        except _TooLong:
            raise SourceFailure(f"the DICOMweb server sends more than {MOST_BYTES:,} bytes") from None
        except Exception as error:  # of requests, pydicom and dicomweb-client, on any kind of nonsense
            raise SourceFailure(f"the DICOMweb server gave no instance ({type(error).__name__})") from None
        return path

    def _study(self, client: Any, image: ImageReference) -> str:
        found = client.search_for_instances(
            search_filters={"SeriesInstanceUID": image.series_uid, "SOPInstanceUID": image.instance_uid},
            fields=["StudyInstanceUID"],
        )
        if not found:
            raise ImageMissing("the DICOMweb server has no such instance")
        uid: str = found[0]["0020000D"]["Value"][0]
        return uid

    def _client(self) -> Any:
        from dicomweb_client.api import DICOMwebClient

        client = DICOMwebClient(self._url, session=_session(self._login), timeout=_TIMEOUT_S)
        client.set_http_retry_params(retry=False)
        return client


class _TooLong(Exception):  # noqa: N818 - never leaves this file
    pass


def _session(login: tuple[str, str] | None) -> Any:
    """A session that reads no more than `MOST_BYTES`, and not longer than the time limit."""
    import requests

    class Bounded(requests.Session):
        def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
            until = time.monotonic() + _TIMEOUT_S
            response = super().send(request, **{**options, "stream": True})
            body = bytearray()
            for chunk in response.iter_content(2**16):
                body += chunk
                if len(body) > MOST_BYTES:
                    raise _TooLong
                if time.monotonic() > until:  # a slow drip never trips the timeout between two bytes
                    raise requests.Timeout
            response._content = bytes(body)  # as requests itself leaves it after reading
            return response

    session = Bounded()
    session.trust_env = False  # no proxy of the environment for a hospital's pictures
    session.auth = login
    return session
