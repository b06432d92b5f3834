"""Candidates that a Ray cluster's nodes can import; what they leave in a folder tells tests what happened."""

import errno
import os
import time
from pathlib import Path

from harness.candidates.base import Candidate
from harness.report import Report
from harness.testing import Faulty


class Told(Candidate):
    """Says which study it is; notes every study that it is asked about."""

    name = "told"

    def __init__(self, folder: Path, seconds: float = 0.0) -> None:
        self.folder, self.seconds = folder, seconds

    def digest(self) -> str:
        return "0" * 64

    def report(self, study):
        (self.folder / f"{study.study_id}.{os.getpid()}").touch()
        time.sleep(self.seconds)
        return Report(report_id=study.study_id, impression=f"No effusion in {study.study_id}.")

    def asked(self) -> list[str]:
        return sorted(path.name.partition(".")[0] for path in self.folder.iterdir())


class Sometimes(Told):
    """Fails in another way on some studies."""

    name = "sometimes"

    def report(self, study):
        fault = {"1": "raises", "2": "dies", "3": "hangs", "4": "wrong type", "5": "silent"}.get(
            study.study_id
        )
        return Faulty(fault).report(study) if fault else super().report(study)


class Killer(Told):
    """Takes its actor down with it, over one study."""

    name = "killer"

    def report(self, study):
        if study.study_id == "3":
            os.kill(os.getppid(), 9)
            time.sleep(30)
        return super().report(study)


class FullDisk(Told):
    """Finds no room for its weights the first time that it loads."""

    name = "full-disk"

    def prepare(self):
        try:
            (self.folder.parent / "first").touch(exist_ok=False)
        except FileExistsError:
            return
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Elsewhere(Told):
    """Has other files where it runs than where it was sent from."""

    name = "elsewhere"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.here = os.getpid()

    def digest(self) -> str:
        return ("0" if os.getpid() == self.here else "1") * 64
