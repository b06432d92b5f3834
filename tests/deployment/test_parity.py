import json
import shutil
from dataclasses import asdict

import pytest
import torch

from harness.candidates.multimodal.model import RadiologyMultimodalModel
from harness.candidates.multimodal.processor import MultimodalProcessor
from harness.candidates.onnx.model import OnnxModel
from harness.cli import main
from harness.data_files import data_path
from harness.deployment.manifest import read_package
from harness.deployment.numbers import CheckpointArm, PackageArm, compare_numbers
from harness.deployment.parity import decided, read_numbers
from harness.errors import LedgerError
from harness.ledger import Ledger
from harness.suite import read_suite
from runs import SUITE
from tiny_multimodal import network, tiny_tokenizer
from tiny_package import make_package

PARITY = (
    SUITE.replace("{id: sensitivity, measure: critical_sensitivity, value: pooled, above: 0.9}",
             "{id: silence, measure: failure_rate, value: value, below: 0.5}")
    .replace("below: 0.1}", "below: 0.4}")
    .replace("cohort: {split: test}", "cohort: {split: test, studies: 24}")
    + """\
comparison:
  guardrails:
    - {measure: failure_rate, margin: 0.3}
    - {measure: findings_f1, value: micro-14, margin: 0.1}
    - {measure: bleu4, margin: 0.1}
  parity: {probability: 0.02, detections: 0.8, tokens: 0.8}
"""
)  # fmt: skip


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "parity.yaml"
    path.write_text(PARITY)
    return path


def parity(tiny_package, tiny_checkpoint, suite, cohort, out):
    words = ["--against", tiny_checkpoint, "--cohort", f"phantom:{cohort}", "--suite", suite, "--out", out]
    return main(["parity", *map(str, [tiny_package, *words, "--workers", 1])])


@pytest.fixture(scope="module")
def faithful(tiny_package, tiny_checkpoint, suite, phantom_root, tmp_path_factory):
    out = tmp_path_factory.mktemp("parity") / "out"
    return out, parity(tiny_package, tiny_checkpoint[0], suite, phantom_root, out)


def test_a_faithful_package_passes(faithful, tiny_package):
    out, code = faithful
    record = json.loads((out / "parity.json").read_text())
    assert (code, record["status"], record["exit_code"]) == (0, "PASS", 0)
    assert record["package"]["package"] == read_package(tiny_package).digest()
    assert record["package"]["provider"] == "CPUExecutionProvider"
    assert record["package"]["size"] > 0 < record["package"]["checkpoint_size"]
    assert record["reports"] == {"both": 24, "identical": 24, "one": 0}
    assert record["numbers"]["studies"] == 24
    assert record["numbers"]["logit_greatest"] < 1e-3
    assert record["speed"]["ratio"] > 0
    names = [item["id"] for item in record["comparison"]["guardrails"]]
    assert names[:3] == ["numbers.finding-probability", "numbers.detections", "numbers.tokens"]
    assert {item["status"] for item in record["comparison"]["guardrails"]} == {"PASS"}
    assert record["comparison"]["look"] is None
    page = (out / "parity.md").read_text()
    assert "# Parity: PASS" in page
    assert "Non-inferiority: PASS" in page
    assert not (out / "looks.jsonl").exists()


def test_given_again_it_is_only_read(faithful, tiny_package, tiny_checkpoint, suite, phantom_root, capsys):
    out, _ = faithful
    assert parity(tiny_package, tiny_checkpoint[0], suite, phantom_root, out) == 0
    printed = capsys.readouterr().out
    for told in ("Parity: PASS", "Same report", "24 of 24", "vision fp32, language fp32", "numbers.tokens"):
        assert told in printed


def test_the_log_of_the_packages_run_names_the_result(faithful, tmp_path):
    out, _ = faithful
    record = json.loads((out / "parity.json").read_text())
    logged = [e for e in Ledger(out / "exported").log.entries() if e["event"] == "parity"]
    assert len(logged) == 1, "given again, the same result is not entered again"
    limits = read_suite(out / "exported" / "suite.yaml").comparison.parity
    again = [asdict(item) for item in decided(read_numbers(out), limits)]
    assert json.loads(json.dumps(again)) == record["comparison"]["guardrails"][:3]
    changed = shutil.copytree(out, tmp_path / "out")
    (changed / "parity.json").write_text(json.dumps({**record, "status": "FAIL"}))
    with pytest.raises(LedgerError, match="it was changed, or is of an older version"):
        read_numbers(changed)
    (changed / "parity.json").unlink()
    with pytest.raises(LedgerError, match="is missing"):
        read_numbers(changed)


def test_a_package_that_writes_otherwise_fails(
    faithful, tiny_checkpoint, suite, phantom_root, tmp_path, capsys
):
    folder, _ = tiny_checkpoint
    model = network()
    with torch.no_grad():
        model.language.lm_head.weight *= -1
    make_package(model, folder, tmp_path / "package")
    shutil.copytree(faithful[0] / "full", tmp_path / "out" / "full")
    assert parity(tmp_path / "package", folder, suite, phantom_root, tmp_path / "out") == 1
    record = json.loads((tmp_path / "out" / "parity.json").read_text())
    found = {item["id"]: item["status"] for item in record["comparison"]["guardrails"]}
    assert found["numbers.tokens"] == "FAIL"
    assert record["reports"]["identical"] < record["reports"]["both"]
    assert "Parity: FAIL" in capsys.readouterr().out


def test_bad_input(tiny_package, tiny_checkpoint, suite, phantom_root, tmp_path, capsys):
    other = tmp_path / "other"
    network(seed=1).save_pretrained(other, tiny_tokenizer())
    assert parity(tiny_package, other, suite, phantom_root, tmp_path / "out") == 2
    assert "was exported from another checkpoint" in capsys.readouterr().err
    plain = tmp_path / "plain.yaml"
    plain.write_text(PARITY[: PARITY.index("  parity:")])
    assert parity(tiny_package, tiny_checkpoint[0], plain, phantom_root, tmp_path / "out") == 2
    assert "has no comparison.parity" in capsys.readouterr().err


def test_the_suite_that_comes_along():
    suite = read_suite(data_path("suites") / "parity.yaml")
    assert suite.comparison.family == ()
    rails = {(item.measure, item.value): item.margin for item in suite.comparison.guardrails}
    for finding in ("Pneumothorax", "Fracture", "Lung Lesion", "Pleural Effusion"):
        assert rails["critical_sensitivity", finding] <= 0.02
    assert {measure for measure, _ in rails} >= {part.key for part in suite.measures} - {"findings_detection"}


SHIPPED = data_path("checkpoints") / "phantom-multimodal"


@pytest.mark.skipif(not (SHIPPED / "config.json").is_file(), reason="no phantom-multimodal checkpoint here")
def test_the_shipped_checkpoint_in_int8(tmp_path, cases):
    model = RadiologyMultimodalModel.from_pretrained(SHIPPED)
    make_package(model, SHIPPED, tmp_path / "package", language="int8")
    full = CheckpointArm(model, MultimodalProcessor.from_pretrained(SHIPPED))
    numbers = compare_numbers(full, PackageArm(OnnxModel(tmp_path / "package")), iter(cases[:24]))
    assert numbers.studies == 24
    assert numbers.probability_greatest < 1e-4  # the vision graph is float32 here
    assert numbers.detection_agreement == 1
    assert numbers.token_agreement > 0.95
