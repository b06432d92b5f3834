"""The main job over real reports, to verdict and dossier, where they lie beside the repository."""

import json

import pytest

import real_reports
from harness.cli import main
from runs import SUITES

pytestmark = pytest.mark.skipif(not real_reports.FOLDER.is_dir(), reason=real_reports.WHY_NOT)


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    rows = real_reports.write_manifest(folder / "manifest.csv")

    def run(rule):
        real_reports.write_predictions(folder / f"{rule}.jsonl", rows, rule)
        code = main(
            ["run", str(SUITES / "reports.yaml"), "--cohort", f"manifest:{folder / 'manifest.csv'}",
             "--candidate", f"predictions:{folder / f'{rule}.jsonl'}", "--out", str(folder / rule)]
        )  # fmt: skip
        assert main(["gate", str(folder / rule)]) == code
        return code, folder / rule

    return run


def decisions(run):
    results = json.loads((run / "results.json").read_text())
    return {item["id"]: item for item in results["verdict"]["decisions"]}, results


def test_one_normal_report_for_everybody_fails_and_the_dossier_says_why(judge):
    code, run = judge("normal")
    assert code == 1
    found, results = decisions(run)
    for name, positives in (("pneumothorax", 10), ("fracture", 43), ("mass", 61), ("effusion", 66)):
        assert (found[f"sensitivity-{name}"]["numerator"], found[f"sensitivity-{name}"]["denominator"]) == (
            0, positives,
        )  # fmt: skip
        assert found[f"sensitivity-{name}"]["status"] == "FAIL"
    # It claims nothing, so nothing shows that it invents nothing.
    assert found["hallucination"]["status"] == "NOT EVALUATED"
    # On overlap of words alone it would look like a model.
    overlap = {
        e["measure"]: e["estimate"] for e in results["estimates"] if e["measure"] in ("bleu4", "rougeL")
    }
    assert overlap["bleu4"] > 0.05
    assert overlap["rougeL"] > 0.2
    assert main(["report", str(run)]) == 0
    page = (run / "dossier" / "dossier.html").read_text()
    assert "180 critical findings were missed" in page
    assert "Pleural Effusion: 66 missed of 66" in page
    assert (run / "dossier" / "dossier.pdf").read_bytes().startswith(b"%PDF")


def test_another_patients_report_fails_on_what_it_misses_and_on_what_it_invents(judge):
    code, run = judge("shuffled")
    assert code == 1
    found, _ = decisions(run)
    assert all(found[f"sensitivity-{name}"]["status"] == "FAIL" for name in ("fracture", "mass", "effusion"))
    assert found["hallucination"]["status"] == "FAIL"
    assert found["hallucination"]["estimate"] > 0.7


def test_the_impression_alone_misses_what_only_the_findings_say(judge):
    (code, partial), (_, whole) = judge("impression"), judge("same")
    assert code == 1
    some, everything = decisions(partial)[0], decisions(whole)[0]
    for name in ("fracture", "mass", "effusion"):
        key = f"sensitivity-{name}"
        assert some[key]["numerator"] < everything[key]["numerator"]


def test_findings_without_human_labels_are_not_covered(judge):
    _, results = decisions(judge("same")[1])
    counts = {name: row["not_covered"] for name, row in results["labels"].items()}
    assert sorted(name for name, count in counts.items() if count == 0) == [
        "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Fracture", "Lung Lesion",
        "Pleural Effusion", "Pneumonia", "Pneumothorax",
    ]  # fmt: skip
    undefined = [
        e["value"] for e in results["estimates"] if e["measure"] == "findings_f1" and e["estimate"] is None
    ]
    assert "Support Devices" in undefined
    assert "No Finding" in undefined
