"""What an image source is: identifiers -> a DICOM file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from harness.errors import ServiceError
from harness.service.contract import ImageReference


class ImageMissing(ServiceError):  # noqa: N818 - an answer, not a defect
    """The source has no such picture."""


class SourceFailure(ServiceError):  # noqa: N818 - told of the source
    """The source cannot be reached, or answers nonsense. Its message quotes nothing of a study."""


class ImageSource(ABC):
    """Where pictures come from. Called from several threads.

    Args:
        place: what stands behind the kind in a locator, such as a folder or a URL.
    """

    @abstractmethod
    def __init__(self, place: str) -> None: ...

    @abstractmethod
    def open(self) -> None:
        """Called once, before the first picture is asked for.

        Raises:
            ServiceError: there is no such place.
        """

    @abstractmethod
    def studies(self, number: str) -> set[str]:
        """Study Instance UIDs of all studies whose Accession Number or Study ID is this one.

        Such a number may come again, with another patient: a report is made where it is of one study alone.

        Args:
            number: no unique identifier.

        Raises:
            SourceFailure: see there.
        """

    @abstractmethod
    def fetch(self, study_id: str, image: ImageReference, folder: Path) -> Path:
        """A picture as a DICOM file. Whether it is the right one and may enter is checked afterwards.

        Args:
            study_id: a Study Instance UID, Accession Number or Study ID.
            image: which.
            folder: an empty one of this request; what is written there is removed afterwards.

        Returns:
            A file there, or the source's own, which stays as it is.

        Raises:
            ImageMissing: there is none. SourceFailure: see there.
        """
