import json
import re
import shutil
import subprocess
from html import unescape

import pikepdf
import pyarrow as pa
import pytest

from harness.cli import main
from harness.cohorts.phantom import PhantomCohort
from harness.dossier import render
from harness.dossier.documents import DOCUMENTS
from harness.dossier.missed import missed_cards
from harness.dossier.packet import render_documents, write_packet
from harness.dossier.packet_model import build_packet_model, unasked
from harness.error_analysis import analyse
from harness.errors import HarnessError, LedgerError
from harness.evidence.identifiers import open_identifiers
from harness.ledger import Ledger
from harness.packet import read_packet
from harness.printed import Numbers, differing
from harness.report import CRITICAL
from harness.suite import read_suite
from harness.testing import Damage, Saboteur
from runs import SUITES, run, write_suite

SUITE = """\
name: small
version: 1
cohort: {split: test}
inference: {replicates: 200, seed: 1}
execution: {timeout_s: 20}
measures:
  - critical_sensitivity
  - {measure: findings_detection, options: {findings: critical}}
  - hallucination_rate
  - failure_rate
slices: [sex, race]
fairness: {measure: findings_detection, minimum_trials: 10}
criteria:
  - {id: sensitivity, measure: critical_sensitivity, value: pooled, above: 0.9, requirement: R1}
  - {id: failures, measure: failure_rate, below: 0.5}
  - {id: worst-sex, measure: critical_sensitivity, value: pooled, over: [sex], statistic: worst,
     minimum_trials: 5, above: 0.9}
"""
EVIL = (
    '<script>alert(1)</script> </td></table> "quoted" & {{ 7 * 7 }} url(file:///etc/passwd) '
    '<img src="file:///etc/passwd"> <style>@import url(http://example.org/x)</style>'
)
PACKET = f"""\
title: {json.dumps("A packet " + EVIL)}
device: {{name: D, version: '1', manufacturer: M, description: {json.dumps(EVIL)}}}
intended_use: {{statement: S, population: P}}
devices: [{{name: X, role: reference device, sensitivity: {{value: 0.9, source: invented}}}}]
hazards:
  - {{id: H1, hazard: miss, situation: s, harm: death, severity: catastrophic, probability: remote,
     evidence: [sensitivity, gone],
     observed: {{measure: critical_sensitivity, value: pooled, complement: true}}}}
requirements: [{{id: R1, text: t}}, {{id: R2, text: none}}]
modifications: [{{id: M1, change: c, method: m, bounds: [{{measure: failure_rate, at_most: 0.5}}]}}]
"""
NAMES = [document.name for document in DOCUMENTS]


@pytest.fixture(scope="module")
def judged(tmp_path_factory, phantom_root):
    """A run with misses, inventions and crashes."""
    folder = tmp_path_factory.mktemp("judged")
    damaged = Saboteur(list(PhantomCohort(phantom_root)), Damage(miss=0.4, fail=0.1, hallucinate=0.1))
    run(write_suite(folder, SUITE), phantom_root, damaged, folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def packet_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("packet") / "packet.yaml"
    path.write_text(PACKET, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def packet(judged, packet_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "packet"
    write_packet(judged, packet_file, out)
    return out


@pytest.fixture(scope="module")
def public(judged, packet_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "public"
    write_packet(judged, packet_file, out, public=True)
    return out


def pages(folder):
    return {name: (folder / f"{name}.html").read_text(encoding="utf-8") for name in [*NAMES, "index"]}


def evidence(folder, name):
    return json.loads((folder / "evidence" / name).read_bytes())


@pytest.mark.parametrize("variant", ["packet", pytest.param("public", marks=pytest.mark.slow)])
def test_every_number_in_a_table_is_in_the_register_and_is_what_the_evidence_says(variant, request):
    folder = request.getfixturevalue(variant)
    numbers = evidence(folder, "numbers.json")
    assert differing(numbers, evidence(folder, "results.json"), evidence(folder, "analyses.json")) == []
    known = {record["id"]: record for record in numbers}
    seen = set()
    for name, html in pages(folder).items():
        for number, text in re.findall(r'<span data-number="(n\d+)">([^<]*)</span>', html):
            assert (known[number]["text"], known[number]["document"]) == (unescape(text), name)
            seen.add(number)
        for cell in re.findall(r'<td class="(?:num|range)[^"]*">(.*?)</td>', html, re.DOTALL):
            bare = re.sub(r"<[^>]*>", "", re.sub(r"<span data-number.*?</span>", "", cell))
            reason = "order statistics" in bare or "needed" in bare  # why a bound is infinite
            assert reason or not re.search(r"\d", bare), f"{name}: {cell} was printed past the register"
    assert seen == set(known), "every entry of the register is printed"
    assert len(known) > 300


def test_missing_sections_are_listed_and_mark_every_cover(packet):
    for name, html in pages(packet).items():
        assert "INCOMPLETE" in html, name
    assert "reproducibility" in pages(packet)["index"]
    for section in ("sponsor", "study", "previous", "signers", "runs", "latency"):
        assert f"<code>{section}</code>" in pages(packet)["01-clinical-performance"]


def test_a_missing_lock_is_a_finding_on_every_cover(packet):
    assert all("No protocol lock" in html for html in pages(packet).values())


def test_a_verdict_names_the_critical_findings_that_it_does_not_speak_of(packet):
    assert unasked(read_suite(SUITES / "phantom.yaml")) == []
    assert unasked(read_suite(SUITES / "ab_phantom.yaml")) == [str(finding) for finding in CRITICAL]
    told = pages(packet)
    assert all("Not asked:" in told[name] for name in NAMES)  # its suite decides the pooled one alone


def test_what_failed_comes_first(packet):
    html = pages(packet)
    first = html["01-clinical-performance"]
    assert first.index("FAIL") < first.index('id="verdict"') < first.index('id="cohort"')
    statuses = re.findall(r'class="status (\w+)"', first.partition("<tbody>")[2].partition("</tbody>")[0])
    assert statuses == sorted(statuses, key=["fail", "open", "pass"].index)
    assert {"fail", "pass"} <= set(statuses)
    assert html["03-risk-analysis"].index('id="open"') < html["03-risk-analysis"].index('id="hazards"')
    matrix = html["04-traceability"].partition('id="matrix"')[2]
    verified = ["unverified" not in line for line in re.findall(r"<h3>R\d.*?</h3>", matrix)]
    assert verified == sorted(verified)
    assert "gone: NOT EVALUATED" in html["03-risk-analysis"]


def test_no_equivalence_is_claimed_and_a_packet_without_predicate_says_so(packet):
    html = pages(packet)["02-predicate-comparison"]
    assert "No predicate." in html
    assert "No claim of substantial equivalence is made here." in html
    assert not re.search(r"is (?:therefore )?substantially equivalent", html)


def test_every_missed_critical_finding_has_its_card(judged, packet):
    analyses = evidence(packet, "analyses.json")
    html = pages(packet)["07-clinical-lead"]
    assert [item["finding"] for item in analyses["missed"]] == [str(finding) for finding in CRITICAL]
    missed = sum(item["missed"] for item in analyses["missed"])
    assert missed > 20
    assert html.count('<div class="card tight">') == missed
    assert html.count("missed finding: no usable report") > 0
    for study in Ledger(judged).read("cases", ["study_id"]).column("study_id").to_pylist():
        assert study not in html, "studies are named by pseudonym"


def test_texts_are_escaped_and_nothing_is_fetched(packet):
    assert EVIL in unescape(pages(packet)["01-clinical-performance"])
    for html in pages(packet).values():
        assert "<script" not in html
        assert not re.findall(r"""<(?!a )[^>]*(?:src|href)=["'](?!data:|#)""", html)
        assert "<style>@import" not in html


def test_the_documents_are_archival_tagged_and_told_to_those_who_cannot_see(packet):
    for name in NAMES:
        with pikepdf.open(packet / f"{name}.pdf") as pdf:
            with pdf.open_metadata() as metadata:
                assert metadata.pdfa_status == "3A"
                assert metadata["dc:title"]
            assert pdf.Root.MarkInfo.Marked
            assert str(pdf.Root.Lang) == "en"
            assert pdf.Root.Outlines.Count != 0
            assert {"results.json", "numbers.json", "rows.parquet"} <= set(pdf.attachments)
            figures = [
                item
                for item in pdf.objects
                if isinstance(item, pikepdf.Dictionary) and item.get("/S") == "/Figure"
            ]
            assert all(str(item.get("/Alt", "")) for item in figures), name
            heads = [
                item
                for item in pdf.objects
                if isinstance(item, pikepdf.Dictionary) and item.get("/S") == "/TH"
            ]
            assert heads
        if shutil.which("qpdf"):
            subprocess.run(["qpdf", "--check", packet / f"{name}.pdf"], check=True, capture_output=True)
        if shutil.which("pdffonts"):
            command = ["pdffonts", packet / f"{name}.pdf"]
            told = subprocess.run(command, capture_output=True, text=True, check=True)
            assert all(" yes " in row for row in told.stdout.splitlines()[2:]), "every font is embedded"


@pytest.mark.slow
def test_two_renders_give_the_same_bytes(judged, packet_file, packet, tmp_path):
    write_packet(judged, packet_file, tmp_path / "again")
    names = sorted(path.relative_to(packet) for path in packet.rglob("*") if path.is_file())
    assert len(names) > 20
    for name in names:
        assert (packet / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_the_public_variant_holds_no_text_picture_or_small_group(judged, public):
    cases = Ledger(judged).read("cases").to_pylist()
    texts = {row[key] for row in cases for key in ("findings", "impression") if len(row[key]) > 30}
    for html in pages(public).values():
        assert "<img" not in html
        assert not any(text in unescape(html) for text in texts)
        assert not any(row["study_id"] in html for row in cases)
    results = evidence(public, "results.json")
    for item in results["estimates"]:
        if "=" in (item["slice"] or "") and isinstance(item["denominator"], int):
            low, high = item["numerator"], item["denominator"] - item["numerator"]
            assert all(not 0 < count < 5 for count in (low, high, item["n_studies"]))
    assert not (public / "evidence" / "rows.parquet").exists()


def test_a_run_without_positives_is_told_as_such(tmp_path, packet_file):
    findings = ("Pneumothorax", "Fracture", "Lung Lesion", "Pleural Effusion")
    lines = [f"study_id,patient_id,findings,impression,split,{','.join(findings)}"]
    lines += [f"s{k},p{k},The lungs are clear.,Normal chest.,test,0,0,0,0" for k in range(30)]
    (tmp_path / "cohort.csv").write_text("\n".join(lines))
    long = "The heart is normal. " * 500
    rows = ["study_id,report", *(f"s{k},{long if k == 0 else 'Clear lungs.'}" for k in range(30))]
    (tmp_path / "reports.csv").write_text("\n".join(rows))
    words = ["run", write_suite(tmp_path, SUITE), "--workers", "1", "--out", tmp_path / "run"]
    words += ["--candidate", f"predictions:{tmp_path / 'reports.csv'}"]
    words += ["--cohort", f"manifest:{tmp_path / 'cohort.csv'}"]
    main([str(word) for word in words])
    model = build_packet_model(tmp_path / "run", read_packet(packet_file), packet_file.parent, public=False)
    html = render_documents(model, Numbers(model["results"], model["analyses"]))
    assert "No study of the cohort has this finding" in html["07-clinical-lead"]
    assert "NOT EVALUATED" in html["03-risk-analysis"]


def test_a_finding_of_ten_thousand_characters_is_cut_and_says_so(judged):
    ledger, suite = Ledger(judged), read_suite(judged / "suite.yaml")
    long = "Pneumothorax " * 800

    class Long(Ledger):
        def read(self, table, columns=None):
            found = super().read(table, columns)
            if table != "cases" or columns is not None:
                return found
            place = found.schema.get_field_index("findings")
            return found.set_column(place, "findings", pa.array([long] * found.num_rows))

    groups = missed_cards(Long(judged), suite, analyse(judged, pictures=False), open_identifiers(judged))
    texts = ["".join(part.text for part in card["reference"]) for group in groups for card in group["cards"]]
    assert len(texts) > 20
    assert all(len(text) < 1_000 and "characters in all" in text for text in texts)
    assert ledger.digest() == ledger.results()["ledger"]


def test_a_run_that_is_not_complete_is_refused(judged, packet_file, tmp_path):
    shutil.copytree(judged, tmp_path / "partial")
    (tmp_path / "partial" / "results.json").unlink()
    with pytest.raises(LedgerError, match="not complete"):
        write_packet(tmp_path / "partial", packet_file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(judged, packet_file, tmp_path):
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(HarnessError, match="holds no packet"):
        write_packet(judged, packet_file, tmp_path)


def test_a_signed_packet_is_not_overwritten(judged, packet_file, packet, tmp_path):
    folder = shutil.copytree(packet, tmp_path / "signed")
    who = ["--name", "Ann Author", "--role", "author", "--meaning", "I wrote this document"]
    assert main(["sign", str(folder), "--development-key", str(tmp_path / "ann.pem"), *who]) == 0
    before = (folder / f"{NAMES[0]}.pdf").read_bytes()
    with pytest.raises(HarnessError, match="is signed, and is not overwritten"):
        write_packet(judged, packet_file, folder)
    assert (folder / f"{NAMES[0]}.pdf").read_bytes() == before


def test_missing_fonts_are_named(monkeypatch, tmp_path):
    source = render.data_path("reports")
    shutil.copytree(source, tmp_path / "reports", ignore=shutil.ignore_patterns("*.woff2"))
    monkeypatch.setattr(render, "data_path", lambda kind: tmp_path / kind)
    with pytest.raises(HarnessError, match=r"Inter-Regular.woff2: the pages' font is missing"):
        render.render_template("packet/index.html.j2", {})


def test_the_command_line(judged, packet_file, tmp_path, capsys):
    broken = tmp_path / "broken.yaml"
    broken.write_text("devcie: {}\n")
    assert main(["dossier", str(judged), "--packet", str(broken), "--out", str(tmp_path / "out")]) == 2
    assert "broken.yaml:1:1: devcie: unknown key; did you mean device?" in capsys.readouterr().err
