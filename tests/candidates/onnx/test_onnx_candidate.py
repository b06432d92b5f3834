import pickle
import subprocess
import sys

import pytest

from harness.candidates import open_candidate
from harness.candidates.multimodal.candidate import MultimodalCandidate
from harness.candidates.onnx.candidate import OnnxCandidate
from harness.candidates.timing import PHASES, Stopwatch
from harness.deployment.manifest import read_package
from harness.errors import CandidateError, CohortError
from harness.study import Image, Study, View
from tiny_package import make_checkpoint, make_package, study_of

SCRIPT = """
import sys
from pathlib import Path
from harness.candidates import open_candidate
from harness.study import Context, Image, Study, View
candidate = open_candidate("onnx:" + sys.argv[1])
candidate.digest()
candidate.prepare()
report = candidate.report(Study("s", (Image(Path(sys.argv[2]), View.PA),), Context(indication="Cough.")))
assert report.text, report
print(sorted({"torch", "transformers"} & set(sys.modules)))
"""


def plain(report):
    record = report.model_dump(exclude={"report_id", "processing_time_ms", "model_version"})
    for item in record["findings"]:
        item["bounding_box"] = None
    return record


@pytest.mark.parametrize("detections", [False, True])
def test_the_same_report_as_the_checkpoint(tmp_path, detections):
    model = make_checkpoint(tmp_path / "tiny", detections_in_prompt=detections)
    make_package(model, tmp_path / "tiny", tmp_path / "package")
    full, exported = MultimodalCandidate(tmp_path / "tiny"), OnnxCandidate(tmp_path / "package")
    for seed, views in enumerate([(View.PA,), (View.PA, View.LATERAL), (View.LATERAL,), (View.AP,)]):
        study = study_of(tmp_path, *views, seed=seed)
        assert plain(exported.report(study)) == plain(full.report(study))


def test_what_ran_is_said_and_part_of_the_identity(tiny_package, tmp_path):
    candidate = OnnxCandidate(tiny_package)
    report = candidate.report(study_of(tmp_path))
    assert report.model_version.endswith("-vision-fp32-language-fp32-cpu")
    assert "package" not in report.model_version  # the checkpoint's name, and the package's digest
    assert report.report_id == "onnx-study-0"
    assert all(item.bounding_box is None for item in report.findings)
    digests = {
        OnnxCandidate(tiny_package, **options).digest()
        for options in ({}, {"provider": "cpu"}, {"vision": "fp16"}, {"beams": 2}, {"question": "Is it?"})
    }
    assert len(digests) == 4  # auto is cpu here


def test_torch_and_transformers_stay_out(tiny_package, tmp_path):
    study = study_of(tmp_path, View.PA)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tiny_package, study.images[0].path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")


def test_a_worker_gets_it_without_its_graphs(tiny_package, tmp_path):
    candidate = OnnxCandidate(tiny_package)
    candidate.prepare()
    copy = pickle.loads(pickle.dumps(candidate))  # noqa: S301
    study = study_of(tmp_path)
    assert plain(copy.report(study)) == plain(candidate.report(study))


def test_bad_options(tiny_package):
    for locator, told in (
        (f"onnx:{tiny_package}?provider=tensorrt", "not in this onnxruntime"),
        (f"onnx:{tiny_package}?vision=int4", "no int4 vision graph"),
        ("onnx", "needs path"),
        (f"onnx:{tiny_package.parent / 'tiny'}", "no manifest.json; a package is made by harness export"),
    ):
        with pytest.raises(CandidateError, match=told):
            open_candidate(locator).digest()
    for locator in (
        f"onnx:{tiny_package}?beams=0",
        f"onnx:{tiny_package}?beams=two",
        f"onnx:{tiny_package}?question=",
    ):
        with pytest.raises(CandidateError):
            open_candidate(locator)


def test_a_picture_that_cannot_be_used_fails_its_study_alone(tiny_package, tmp_path):
    candidate = OnnxCandidate(tiny_package)
    (tmp_path / "cut.png").write_bytes(study_of(tmp_path).images[0].path.read_bytes()[:200])
    with pytest.raises(CohortError, match="not a readable picture"):
        candidate.report(Study("s", (Image(tmp_path / "cut.png", View.PA),)))
    with pytest.raises(CandidateError, match="needs a frontal or lateral view"):
        candidate.report(Study("s", ()))
    assert candidate.report(study_of(tmp_path)).text


def test_it_tells_phases_tokens_and_size(tiny_package, tmp_path):
    candidate = OnnxCandidate(tiny_package)
    candidate.prepare()
    with Stopwatch().running() as watch:
        candidate.report(study_of(tmp_path))
    told = watch.account()
    assert set(told["phases_s"]) == set(PHASES)
    assert told["tokens"]["read"] > 0 < told["tokens"]["written"]
    size = candidate.size()
    assert size.bytes_per_parameter == 4
    manifest = read_package(tiny_package)
    assert size.language_parameters == manifest.language.size // 4
    assert size.encoder_tokens == len(manifest.config.views) * (1 + manifest.config.grid**2)
