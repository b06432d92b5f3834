"""Phantom studies whose pictures are DICOM files, and runs on them."""

from dataclasses import replace

from harness.cohorts.phantom import PhantomCohort
from harness.phantom.dicom import write_dicom
from harness.run import Request, execute
from harness.service.uids import derived_uid
from harness.study import Image


class DicomPhantoms(PhantomCohort):
    """As `PhantomCohort`; a JPEG decoder that scales while it decodes gives other pixels than DICOM."""

    def __init__(self, root, dicom):
        super().__init__(root)
        self.dicom = dicom
        if not dicom.exists():
            write_dicom(PhantomCohort(root, split=None, views="all"), dicom)

    def __getitem__(self, index):
        case = super().__getitem__(index)
        study = case.study
        images = tuple(
            Image(self.dicom / f"{derived_uid(study.study_id, image.path.stem)}.dcm", image.view)
            for image in study.images
        )
        return replace(case, study=replace(study, images=images))


def run_on(cohort, suite, candidate, out, **options):
    request = Request(suite, cohort, "phantom", candidate, candidate.name, out, **options)
    return execute(request)
