"""A local folder of DICOM files, found by their unique identifiers and not by their names."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Final

from harness.deployment.radiographs import MOST_PIXELS, study_numbers
from harness.dicom import load_pydicom
from harness.errors import ServiceError
from harness.service.contract import ImageReference
from harness.service.sources.base import ImageMissing, ImageSource, SourceFailure

MOST_BYTES: Final = 2 * MOST_PIXELS + 2**23
"""Of one file: two bytes for each pixel of the largest picture that is read, and its header."""
_TAGS: Final = ["SOPInstanceUID", "StudyInstanceUID", "AccessionNumber", "StudyID"]
_AGAIN_S: Final = 2.0
"""Between two looks for new files, however often something is not found."""


class FolderSource(ImageSource):
    """DICOM files under a folder, whatever their names. New ones are found when they are asked for.

    Links are not followed. A file that is no DICOM, or longer than `MOST_BYTES`, is not there. An
    instance that two files claim to be is refused.

    Args:
        place: the folder.
    """

    def __init__(self, place: str) -> None:
        self._root = Path(place)
        self._found: dict[str, list[Path]] = {}
        self._numbered: dict[str, dict[Path, str]] = {}
        """Accession Number or Study ID -> files, and the Study Instance UID of each."""
        self._known: dict[str, tuple[int, int]] = {}
        self._looked = float("-inf")
        self._lock = threading.Lock()

    def open(self) -> None:
        """Reads the header of every file.

        Raises:
            ServiceError: no such folder, no DICOM file in it, or pydicom is not installed.
        """
        try:
            load_pydicom()
        except ImportError:
            raise ServiceError('DICOM needs pydicom; pip install "harness[service]"') from None
        if not self._root.is_dir():
            raise ServiceError(f"{self._root}: no such folder; name one of DICOM files")
        self._look()
        if not self._found:
            raise ServiceError(f"{self._root}: holds no DICOM file; make some with harness phantom dicom")

    def studies(self, number: str) -> set[str]:
        """Looks for new files first: a second patient's may have come."""
        with self._lock:
            if time.monotonic() - self._looked > _AGAIN_S:
                self._look()
            bearers = dict(self._numbered.get(number, {}))
        return {study for path, study in bearers.items() if path.exists()}

    def fetch(self, study_id: str, image: ImageReference, folder: Path) -> Path:
        """The file itself."""
        with self._lock:
            paths = self._found.get(image.instance_uid, [])
            if not paths and time.monotonic() - self._looked > _AGAIN_S:
                self._look()
                paths = self._found.get(image.instance_uid, [])
        if not paths:
            raise ImageMissing("the folder holds no file of this instance")
        if len(paths) > 1:
            raise SourceFailure("several files claim to be this instance; remove all but the right one")
        return paths[0]

    def _look(self) -> None:
        dcmread = load_pydicom().dcmread
        for parent, _, names in os.walk(self._root):
            for name in names:
                path = Path(parent, name)
                try:
                    told = path.lstat()
                except OSError:
                    continue
                mark = (told.st_mtime_ns, told.st_size)
                if self._known.get(str(path)) == mark or path.is_symlink() or told.st_size > MOST_BYTES:
                    continue
                if str(path) in self._known:  # it changed: what it was is no more
                    self._found = {
                        uid: [other for other in paths if other != path] for uid, paths in self._found.items()
                    }
                    for bearers in self._numbered.values():
                        bearers.pop(path, None)
                self._known[str(path)] = mark
                try:
                    header = dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
                    uid, study = str(header.SOPInstanceUID), str(header.get("StudyInstanceUID") or "")
                    numbers = study_numbers(header)
                except Exception:  # noqa: S112 - the library raises many kinds on what is no DICOM
                    continue
                self._found.setdefault(uid, []).append(path)
                for number in numbers:
                    self._numbered.setdefault(number, {})[path] = study.strip()
        self._looked = time.monotonic()
