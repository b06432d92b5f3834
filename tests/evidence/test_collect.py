import csv
import io
import json
import re
import shutil
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from harness.chain import Chain
from harness.disclosure import public_results
from harness.errors import HarnessError, LedgerError
from harness.evidence import attachments, collect
from harness.evidence.identifiers import KEY_NAME, Identifiers
from harness.evidence.rows import attached_rows
from harness.evidence.sbom import bill_of_materials
from harness.ledger import Ledger
from harness.suite import read_suite
from packets import PACKET


@pytest.fixture(scope="module")
def evidence(finished_run):
    return collect(finished_run, PACKET, [], analyses={"a": 1})


@pytest.fixture(scope="module")
def public(finished_run):
    results = public_results(Ledger(finished_run).results(), 5)
    return collect(finished_run, PACKET, [], results=results, public=True)


def test_everything_that_numbers_follow_from_is_there(evidence):
    assert list(evidence) == [
        "analyses.json", "check_headline.py", "environment.json", "lock.json", "log.head.json", "log.jsonl",
        "manifest.csv", "numbers.json", "packet.yaml", "results.json", "risk.json", "rows.parquet",
        "run.json", "sbom.cdx.json", "suite.yaml",
    ]  # fmt: skip


def test_one_ledger_gives_the_same_bytes(finished_run, evidence):
    assert collect(finished_run, PACKET, [], analyses={"a": 1}) == evidence


def test_every_attachment_has_a_kind_and_a_name_for_a_person(evidence):
    found = attachments(evidence)
    assert [item.name for item in found] == list(evidence)
    assert {item.relationship for item in found} == {"Data", "Source", "Supplement"}
    assert all(item.description and "/" in item.media_type for item in found)


def test_the_manifest_holds_the_digest_of_every_study(finished_run, evidence):
    lines = list(csv.DictReader(evidence["manifest.csv"].decode().splitlines()))
    digests = Ledger(finished_run).read("cases").column("digest").to_pylist()
    assert sorted(line["sha256"] for line in lines) == sorted(digests)
    assert sorted(json.loads(evidence["lock.json"])["manifest"]) == sorted(digests)


def test_no_id_no_text_and_no_key_leaves(finished_run, evidence, public):
    ledger = Ledger(finished_run)
    cases, predictions = ledger.read("cases").to_pylist(), ledger.read("predictions").to_pylist()
    secrets = {(finished_run / KEY_NAME).read_text().strip()}
    for row in cases:
        secrets |= {row["study_id"], row["patient_id"], row["findings"], row["impression"], *row["images"]}
    secrets |= {row["findings"] for row in predictions} | {row["impression"] for row in predictions}
    table = pq.read_table(io.BytesIO(evidence["rows.parquet"]))
    shown = json.dumps(table.to_pylist()).encode()
    for secret in secrets - {""}:  # as a word: eight digits stand in many a longer number
        word = re.compile(rb"(?<!\w)" + re.escape(secret.encode()) + rb"(?!\w)")
        for content in (shown, *evidence.values(), *public.values()):
            assert not word.search(content)


def test_the_public_variant_tells_of_no_single_study(finished_run, evidence, public):
    assert set(evidence) - set(public) == {
        "analyses.json", "check_headline.py", "lock.json", "manifest.csv", "risk.json", "rows.parquet",
    }  # fmt: skip
    stated = Ledger(finished_run).results()
    assert json.loads(public["results.json"]) == public_results(stated, 5)
    assert not any(row["digest"].encode() in content for content in public.values()
                   for row in Ledger(finished_run).read("cases").to_pylist())  # fmt: skip
    with pytest.raises(ValueError, match="needs results with small cells suppressed"):
        collect(finished_run, PACKET, [], public=True)


def test_single_ages_that_identify_are_not_attached(finished_run, monkeypatch):
    read = Ledger.read

    def with_ages(self, table, columns=None):
        found = read(self, table, columns)
        if table == "cases":
            place = found.column_names.index("groups")
            found = found.set_column(place, "groups", [['{"age": "93"}'] * found.num_rows])
        return found

    monkeypatch.setattr(Ledger, "read", with_ages)
    with pytest.raises(HarnessError, match="single ages above 89"):
        attached_rows(Ledger(finished_run), read_suite(finished_run / "suite.yaml"), Identifiers(b"k"))


def test_the_bill_of_materials_is_valid_and_names_every_installed_distribution(finished_run, evidence):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    bill = evidence["sbom.cdx.json"]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.decode()) is None
    context = next(entry for entry in Ledger(finished_run).log.entries() if entry["event"] == "context")
    stated = {item["name"]: item["version"] for item in json.loads(bill)["components"]}
    installed = context["environment"]["packages"]
    assert {**installed, "python": context["environment"]["python"]} == {
        **stated,
        "harness": installed["harness"],
    }
    assert "timestamp" not in json.loads(bill)["metadata"]
    assert bill_of_materials(context["environment"], context["revision"]) == bill
    other = {**context["environment"], "packages": {**installed, "numpy": "0.0.1"}}
    changed = json.loads(bill_of_materials(other, context["revision"]))
    assert changed["serialNumber"] != json.loads(bill)["serialNumber"]


@pytest.mark.parametrize("damage", ["partial", "cut", "changed"])
def test_a_partial_or_damaged_run_gives_no_evidence(finished_run, tmp_path, damage):
    run = shutil.copytree(finished_run, tmp_path / "run")
    if damage == "partial":
        (run / "results.json").unlink()
        why = "the run is not complete"
    elif damage == "cut":
        log = run / "log.jsonl"
        log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
        why = r"log\.jsonl:\d+: is missing; .* the tail was cut off"
    else:
        path = run / "rows" / "00000.parquet"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        why = r"rows/00000\.parquet: was changed"
    with pytest.raises(LedgerError, match=why):
        collect(run, PACKET, [])


def test_a_run_that_a_crash_left_one_line_ahead_gets_its_head(finished_run, tmp_path):
    run = shutil.copytree(finished_run, tmp_path / "run")
    before = (run / "log.head.json").read_bytes()
    Chain(run / "log.jsonl").append("note")
    (run / "log.head.json").write_bytes(before)
    found = collect(run, PACKET, [])
    assert json.loads(found["log.head.json"])["digest"] == Chain(run / "log.jsonl").head


class TestStrangersCheck:
    """check_headline.py, by an interpreter to which the harness does not exist."""

    BLOCK = (
        "import sys, runpy\n"
        "class Wall:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('harness', 'scipy', 'pydantic', 'nltk', 'torch'):\n"
        "            raise ImportError('a stranger has no ' + name)\n"
        "sys.meta_path.insert(0, Wall())\n"
        "sys.argv = [sys.argv[1], *sys.argv[2:]]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )

    def check(self, folder):
        command = [sys.executable, "-I", "-c", self.BLOCK, str(folder / "check_headline.py"), str(folder)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    @pytest.fixture
    def folder(self, tmp_path, evidence):
        for name in ("check_headline.py", "rows.parquet", "results.json"):
            (tmp_path / name).write_bytes(evidence[name])
        return tmp_path

    def test_equals_the_results(self, folder, finished_run):
        done = self.check(folder)
        assert done.returncode == 0, done.stdout + done.stderr
        # 4 findings and pooled, two rates of invention, failures, BLEU-4.
        assert "9 headline numbers worked out again; 0 differ" in done.stdout
        results = Ledger(finished_run).results()
        item = next(e for e in results["estimates"] if (e["value"], e["slice"]) == ("pooled", None))
        assert f"{item['numerator']} / {item['denominator']} = {item['estimate']:.4f}" in done.stdout
        bleu = next(e for e in results["estimates"] if (e["measure"], e["slice"]) == ("bleu4", None))
        assert f"= {bleu['estimate']:.4f}   stated {bleu['estimate']:.4f}   same" in done.stdout

    @pytest.mark.parametrize("key", ["estimate", "numerator", "n_studies"])
    def test_sees_a_number_that_was_polished(self, folder, key):
        results = json.loads((folder / "results.json").read_text())
        item = next(e for e in results["estimates"] if (e["value"], e["slice"]) == ("pooled", None))
        item[key] += 1
        (folder / "results.json").write_text(json.dumps(results))
        done = self.check(folder)
        assert done.returncode == 1
        assert "DIFFERENT" in done.stdout
        assert "1 differ" in done.stdout

    def test_nothing_to_check_is_no_pass(self, folder):
        (folder / "results.json").write_text('{"estimates": []}')
        assert self.check(folder).returncode == 1
