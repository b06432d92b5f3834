"""Where the pictures of a study come from."""

from __future__ import annotations

from harness.errors import ServiceError
from harness.plugins import load
from harness.service.sources.base import ImageSource


def open_source(locator: str) -> ImageSource:
    """Opens `KIND:PLACE`, such as `folder:/data/dicom` or `dicomweb:http://localhost:8042/dicom-web`.

    Raises:
        PluginError: no such kind. ServiceError: no place, or one that cannot be used.
    """
    kind, _, place = locator.partition(":")
    if not place:
        raise ServiceError(f"{locator}: name an image source as KIND:PLACE, such as folder:/data/dicom")
    source: ImageSource = load("sources", kind)(place)
    return source
