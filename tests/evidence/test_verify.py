import json
import re
import shutil
import subprocess

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

pytest.importorskip("pyhanko")

from certificates import DAY, NOW, Person
from harness.chain import Chain
from harness.chain_head import Head, sign_head, write_head
from harness.cli import main
from harness.digests import canonical_json, digest_file, digest_value
from harness.disclosure import public_results
from harness.errors import LedgerError
from harness.evidence.derived import check_chain
from harness.evidence.keys import load_signing_key
from harness.evidence.seal import MANIFEST, manifest_problems, read_manifest, write_manifest
from harness.evidence.sign import Signer, sign_packet
from harness.evidence.verify import verify_packet
from harness.ledger import Ledger
from packets import DOCUMENTS, make_packet, render

EVIDENCE = (
    "check_headline.py", "environment.json", "lock.json", "log.head.json", "log.jsonl", "manifest.csv",
    "numbers.json", "packet.yaml", "results.json", "rows.parquet", "run.json", "sbom.cdx.json", "suite.yaml",
)  # fmt: skip
PAGES = tuple(f"{name}.{kind}" for name in DOCUMENTS for kind in ("html", "pdf"))


def reseal(packet):
    """As somebody would who has the code and changes more than one file."""
    manifest = read_manifest(packet)
    write_manifest(packet, {key: manifest[key] for key in ("variant", "ledger")})


def attach_anew(packet):
    """Puts the evidence as it lies there into the PDFs, and seals."""
    files = {path.name: path.read_bytes() for path in (packet / "evidence").iterdir()}
    for name in DOCUMENTS:
        (packet / f"{name}.pdf").write_bytes(render((packet / f"{name}.html").read_text(), files))
    reseal(packet)


def flip(path, share):
    content = bytearray(path.read_bytes())
    place = min(int(len(content) * share), len(content) - 1)
    content[place] ^= 1
    path.write_bytes(bytes(content))
    return content.count(b"\n", 0, place) + 1


def edit(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


def rewrite_log(packet, change):
    """Changes a log's entries and works every digest and the head out again."""
    path = packet / "evidence" / "log.jsonl"
    entries, previous, lines = [json.loads(line) for line in path.read_text().splitlines()], "0" * 64, []
    change(entries)
    for number, entry in enumerate(entries):
        entry.pop("digest")
        entry |= {"previous": previous, "seq": number}
        previous = digest_value(entry)
        lines.append(canonical_json({**entry, "digest": previous}))
    path.write_text("\n".join(lines) + "\n")
    write_head(path, Head(len(lines) - 1, previous, entries[-1]["time"]))


def failing(account):
    return {check.name for check in account.checks if check.problems}


def test_a_packet_as_it_was_sealed_holds(sealed, finished_run):
    account = verify_packet(sealed, run=finished_run)
    assert account.problems == []
    assert [check.name for check in account.checks] == [
        "manifest", "chain", "identity", "rows", "analyses", "numbers", "documents", "signatures", "run",
    ]  # fmt: skip
    assert account.notes == ["not signed: 01-one, 02-two"]


@pytest.mark.parametrize("name", [*(f"evidence/{name}" for name in EVIDENCE), *PAGES])
def test_a_flipped_byte_anywhere_is_named_by_its_file(packet, name):
    path = packet / name
    whole = path.read_bytes()
    for share in (0, 0.2, 0.4, 0.6, 0.8, 1):
        flip(path, share)
        assert manifest_problems(packet, read_manifest(packet)) == [
            f"{path}: was changed after it was sealed"
        ]
        path.write_bytes(whole)


@pytest.mark.parametrize("name", EVIDENCE)
def test_a_flipped_byte_under_a_new_seal_is_still_named_by_its_file(packet, name):
    """The copies inside the PDFs give it away, and in most files what is derived again does too."""
    path = packet / "evidence" / name
    line = flip(path, 0.5)
    reseal(packet)
    account = verify_packet(packet)
    assert "manifest" not in failing(account)
    copies = [problem for problem in account.problems if "differs from the copy in" in problem]
    assert len(copies) == len(DOCUMENTS)
    for problem in copies:
        assert problem.startswith(f"{path}: byte ")
        assert f"(line {line:,})" in problem
    # Nothing is derived from these two; and Parquet has places that hold nothing.
    if name not in ("check_headline.py", "packet.yaml", "rows.parquet"):
        others = [problem for problem in account.problems if problem not in copies]
        assert any(name in problem for problem in others)


@pytest.mark.parametrize("share", [0, 0.25, 0.5, 0.75])
def test_a_flipped_byte_of_the_manifest_is_found(packet, share):
    flip(packet / MANIFEST, share)
    try:
        told = verify_packet(packet).problems
    except LedgerError as error:
        told = [str(error)]
    assert told


def test_every_line_of_the_log_is_guarded(packet):
    path = packet / "evidence" / "log.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for number in range(len(lines)):
        changed = lines[number].replace(b'"time":"2', b'"time":"3')
        ways = {
            "altered": ([*lines[:number], changed, *lines[number + 1 :]], number + 1),
            "dropped": ([*lines[:number], *lines[number + 1 :]], number + 1),
            "truncated": (lines[:number], number + 1),
            "duplicated": ([*lines[: number + 1], *lines[number:]], number + 2),
        }
        if number:
            swapped = [lines[number], lines[number - 1]]
            ways["reordered"] = ([*lines[: number - 1], *swapped, *lines[number + 1 :]], number)
        for way, (content, place) in ways.items():
            path.write_bytes(b"".join(content))
            with pytest.raises(LedgerError, match=r"log\.jsonl:") as caught:
                check_chain(packet / "evidence")
            if content:
                assert f"log.jsonl:{place}:" in str(caught.value), way
    path.write_bytes(whole)
    assert "the head is not signed" in check_chain(packet / "evidence")


@pytest.mark.parametrize("kind", ["missing", "extra"])
def test_missing_and_added_files_are_named(packet, kind):
    if kind == "missing":
        (packet / "evidence" / "sbom.cdx.json").unlink()
        wanted = "sbom.cdx.json: is missing"
    else:
        (packet / "evidence" / "more.txt").write_text("all is well")
        wanted = "more.txt: is not in the manifest; it was added after sealing"
    problems = verify_packet(packet).problems
    assert any(problem.endswith(wanted) for problem in problems)
    assert any("01-one.pdf: " in problem for problem in problems)  # what it holds is not what lies there


def test_a_result_polished_with_log_and_copies_does_not_follow_from_the_rows(packet):
    results = packet / "evidence" / "results.json"

    def polish(value):
        item = next(e for e in value["estimates"] if (e["value"], e["slice"]) == ("pooled", None))
        item["numerator"] += 1

    edit(results, polish)
    rewrite_log(packet, lambda entries: entries[-1].update(sha256=digest_file(results)))
    attach_anew(packet)
    account = verify_packet(packet)
    assert failing(account) == {"rows"}
    assert re.search(
        r"results\.json: results\.estimates\[\d+\]\.numerator does not follow from rows", account.problems[0]
    )


def test_rows_polished_with_all_copies_do_not_give_the_results(packet):
    path = packet / "evidence" / "rows.parquet"
    table = pq.read_table(path)
    name = "failure_rate/failed"
    place = table.column_names.index(name)
    pq.write_table(table.set_column(place, name, pc.multiply(table.column(name), 0)), path)
    attach_anew(packet)
    account = verify_packet(packet)
    assert failing(account) == {"rows"}


def test_a_study_left_out_of_the_rows_is_found(packet):
    path = packet / "evidence" / "rows.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    attach_anew(packet)
    problems = verify_packet(packet).problems
    assert any("does not follow from rows.parquet" in problem for problem in problems)
    assert any("manifest.csv: does not list the studies of rows.parquet" in problem for problem in problems)


def test_a_printed_number_that_differs_is_named_with_its_line(packet):
    path = packet / "02-two.html"
    text = path.read_text()
    record = next(
        item for item in json.loads((packet / "evidence" / "numbers.json").read_text())
        if item["document"] == "02-two" and item["source"].get("measure") == "failure_rate"
    )  # fmt: skip
    cell = f'data-number="{record["id"]}">'
    assert cell in text
    path.write_text(text.replace(cell + record["text"], cell + "0.0000"))
    attach_anew(packet)
    account = verify_packet(packet)
    assert failing(account) == {"numbers", "documents"}
    page, pdf = account.problems[0], account.problems[-1]
    assert page.startswith(f"{path}:1: {record['id']} ")
    assert page.endswith(f"prints 0.0000, numbers.json says {record['text']}")
    assert re.search(r"02-two\.pdf: prints .* times, numbers\.json has it", pdf)


@pytest.mark.parametrize("how", ["dropped from the page", "dropped from the register"])
def test_a_number_without_its_counterpart_is_found(packet, how):
    numbers, path = packet / "evidence" / "numbers.json", packet / "01-one.html"
    if how == "dropped from the page":
        path.write_text(path.read_text().replace(' data-number="n00001"', ""))
        wanted = "01-one.html: n00001 "
    else:
        edit(numbers, lambda value: value.pop(0))
        wanted = "01-one.html:1: n00001 is not in numbers.json"
    attach_anew(packet)
    assert any(wanted in problem for problem in verify_packet(packet).problems)


def test_a_number_polished_everywhere_is_not_what_the_results_say(packet):
    numbers, page = packet / "evidence" / "numbers.json", packet / "01-one.html"
    record = json.loads(numbers.read_text())[0]
    edit(numbers, lambda value: value[0].update(text="1.0000"))
    cell = f'data-number="{record["id"]}">'
    page.write_text(page.read_text().replace(cell + record["text"], cell + "1.0000"))
    attach_anew(packet)
    account = verify_packet(packet)
    assert failing(account) == {"numbers"}
    assert account.problems[0].endswith(f"printed 1.0000, the evidence says {record['text']}")


def test_an_easier_suite_another_run_and_another_environment_are_found(packet):
    suite, run = packet / "evidence" / "suite.yaml", packet / "evidence" / "run.json"
    suite.write_text(suite.read_text().replace("above: 0.5", "above: 0.1"))
    edit(run, lambda value: value.update(candidate="0" * 64))
    edit(packet / "evidence" / "environment.json", lambda value: value["packages"].update(numpy="9"))
    attach_anew(packet)
    problems = "\n".join(verify_packet(packet).problems)
    assert "run.json: is not the run that the log began" in problems
    assert "suite.yaml: is not the suite that this run was asked" in problems
    assert "environment.json: is not the environment that the log tells" in problems


def test_another_lock_is_found(packet):
    path = packet / "evidence" / "lock.json"
    edit(path, lambda value: value.update(locked_at="2020-01-01T00:00:00+00:00"))
    attach_anew(packet)
    problems = verify_packet(packet).problems
    assert any("lock.json: was changed after it was written" in item for item in problems)
    lock = json.loads(path.read_text())
    del lock["digest"]
    path.write_text(json.dumps({**lock, "digest": digest_value(lock)}))
    attach_anew(packet)
    problems = verify_packet(packet).problems
    assert any("lock.json: is not the lock of this run" in item for item in problems)


def test_the_head_may_be_signed_and_the_signature_holds(finished_run, tmp_path):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    run = shutil.copytree(finished_run, tmp_path / "run")
    head = sign_head(run / "log.jsonl", Ed25519PrivateKey.generate())
    packet = make_packet(run, tmp_path / "packet")
    account = verify_packet(packet)
    assert account.problems == []
    assert account.checks[1].told.endswith(f"the head is signed with key {head.public_key}")
    edit(packet / "evidence" / "log.head.json", lambda value: value.update(signature="00" * 64))
    attach_anew(packet)
    problems = verify_packet(packet).problems
    assert any("log.head.json: its signature does not hold" in item for item in problems)


@pytest.fixture(scope="module")
def signed(tmp_path_factory, sealed):
    """A packet with an author's and an approver's signature, and their certificates."""
    folder = tmp_path_factory.mktemp("signed")
    packet = shutil.copytree(sealed, folder / "packet")
    authority = Person("Example Authority", ca=True)
    for role, name in (("author", "Ann Author"), ("approver", "Al Approver")):
        key = load_signing_key(Person(name, issuer=authority).pem(folder / f"{role}.pem"), lambda: "")
        sign_packet(packet, Signer(key, name, role, "I answer for it"))
    return packet, authority


def test_trust_is_told_and_fails_only_where_it_was_asked_about(signed):
    packet, authority = signed
    free = verify_packet(packet)
    assert free.problems == []
    assert [note.rpartition(" (")[2] for note in free.notes] == ["trust not asked about): 01-one, 02-two"] * 2
    good = verify_packet(packet, trust=[authority.certificate])
    assert good.problems == []
    assert [note.rpartition(" (")[2] for note in good.notes] == ["trusted): 01-one, 02-two"] * 2
    bad = verify_packet(packet, trust=[Person("Another", ca=True).certificate])
    assert failing(bad) == {"signatures"}
    assert "the certificate of Ann Author does not lead back to one that is trusted" in bad.problems[0]


def test_an_unsigned_document_is_not_trusted(sealed):
    account = verify_packet(sealed, trust=[Person("Example Authority", ca=True).certificate])
    assert account.problems[0].endswith("01-one.pdf: carries no signature that could be trusted")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.7, 0.99])
def test_a_pdf_altered_after_signing_is_found_under_a_new_seal(signed, tmp_path, share):
    packet = shutil.copytree(signed[0], tmp_path / "packet")
    flip(packet / "02-two.pdf", share)
    reseal(packet)
    account = verify_packet(packet)
    assert failing(account) & {"signatures", "documents"}
    assert all("02-two.pdf" in problem for problem in account.problems)


def test_words_altered_on_a_page_beside_signed_documents_are_found(signed, tmp_path):
    packet = shutil.copytree(signed[0], tmp_path / "packet")
    page = packet / "01-one.html"
    page.write_text(page.read_text().replace("Verdict: FAIL", "Verdict: PASS"))
    reseal(packet)
    account = verify_packet(packet)
    assert failing(account) == {"signatures"}
    assert "is over other pages or evidence than those beside it" in account.problems[0]


def test_a_signature_made_when_its_certificate_had_expired_is_found(packet, tmp_path, monkeypatch):
    late = Person("Ann Author", begins=NOW - 3 * DAY, ends=NOW - DAY)
    key = load_signing_key(late.pem(tmp_path / "late.pem"), lambda: "")
    monkeypatch.setattr("harness.evidence.sign.objections", lambda certificate, moment: [])
    sign_packet(packet, Signer(key, "Ann Author", "author", "I wrote it"))
    monkeypatch.undo()
    account = verify_packet(packet)
    assert failing(account) == {"signatures"}
    assert "signature author: the certificate expired on" in account.problems[0]


def test_a_signature_in_the_wrong_role_is_found(packet, tmp_path, monkeypatch):
    ann = Person("Ann Author")
    key = load_signing_key(ann.pem(tmp_path / "ann.pem"), lambda: "")
    monkeypatch.setattr("harness.evidence.sign.order_problems", lambda signatures: [])
    for role in ("author", "approver"):
        sign_packet(packet, Signer(key, "Ann Author", role, "I answer for it"), ["01-one.pdf"])
    monkeypatch.undo()
    assert any("01-one.pdf: the approver is the author" in item for item in verify_packet(packet).problems)


def test_the_run_is_compared_too(sealed, finished_run, tmp_path):
    run = shutil.copytree(finished_run, tmp_path / "run")
    Chain(run / "log.jsonl").append("note")
    account = verify_packet(sealed, run=run)
    assert failing(account) == {"run"}
    assert [problem.rpartition("/")[2] for problem in account.problems] == [
        "log.head.json: is not what the run gives", "log.jsonl: is not what the run gives",
    ]  # fmt: skip
    (run / "identifiers.key").unlink()
    assert "rows were not compared" in verify_packet(sealed, run=run).notes[-1]
    assert not (run / "identifiers.key").exists()
    (run / "results.json").unlink()
    assert failing(verify_packet(sealed, run=run)) == {"run"}


def test_a_public_packet_is_checked_as_far_as_it_goes(finished_run, tmp_path):
    results = public_results(Ledger(finished_run).results(), 5)
    packet = make_packet(finished_run, tmp_path / "packet", results=results, public=True)
    assert verify_packet(packet, run=finished_run).problems == []

    def polish(value):
        item = next(e for e in value["estimates"] if (e["value"], e["slice"]) == ("pooled", None))
        item["estimate"] = 0.99

    edit(packet / "evidence" / "results.json", polish)
    attach_anew(packet)
    problems = verify_packet(packet).problems
    assert any("estimate is not its counts' quotient" in problem for problem in problems)


def test_attachments_come_out_by_another_tool_as_they_lie_there(sealed, tmp_path):
    tool = shutil.which("pdfdetach")
    if tool is None:
        pytest.skip("pdfdetach is not installed")
    subprocess.run([tool, "-saveall", "-o", tmp_path, sealed / "01-one.pdf"], check=True)
    beside = {path.name: path.read_bytes() for path in (sealed / "evidence").iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == beside


def test_the_command_line(packet, tmp_path, capsys, finished_run):
    assert main(["verify", str(packet)]) == 0
    assert "All holds" in capsys.readouterr().out
    assert main(["verify", str(finished_run)]) == 0
    assert "All holds" in capsys.readouterr().out
    words = ["--name", "Ann Author", "--role", "author", "--meaning", "I wrote it"]
    assert main(["sign", str(packet), "--development-key", str(tmp_path / "dev.pem"), *words]) == 0
    assert "DEVELOPMENT KEY" in capsys.readouterr().out
    assert main(["verify", str(packet), "--trust", str(tmp_path / "dev.pem")]) == 0
    assert "DEVELOPMENT KEY, not for submission (trusted)" in capsys.readouterr().out
    assert main(["sign", str(packet), "--key", str(tmp_path / "dev.pem"), "--role", "author"]) == 2
    assert "--name, --meaning missing" in capsys.readouterr().err
    flip(packet / "evidence" / "log.jsonl", 0.5)
    assert main(["verify", str(packet)]) == 3
    assert "do not hold" in capsys.readouterr().out
    assert main(["verify", str(tmp_path)]) == 3
    assert "manifest.json: is missing" in capsys.readouterr().err


def test_the_head_of_a_run_is_signed_on_the_command_line(finished_run, tmp_path, capsys):
    run = shutil.copytree(finished_run, tmp_path / "run")
    assert main(["sign", str(run), "--development-key", str(tmp_path / "log.pem")]) == 0
    assert main(["verify", str(run)]) == 0
    assert "the head is signed with key" in capsys.readouterr().out
