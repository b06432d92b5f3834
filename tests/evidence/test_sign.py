import re
import shutil
import subprocess

import pytest

pytest.importorskip("pyhanko")

from pypdf import PdfReader

from certificates import DAY, NOW, SERVER, Person
from harness.errors import HarnessError, LedgerError
from harness.evidence.keys import load_signing_key, make_development_key
from harness.evidence.seal import manifest_problems, read_manifest
from harness.evidence.sign import Signer, sign_packet
from harness.evidence.signatures import load_certificates, read_signatures

MEANING = "I have written this document"


def sign(packet, person, role, meaning=MEANING, documents=(), name=None):
    path = person.pem(packet.parent / f"{role}.pem")
    key = load_signing_key(path, lambda: "")
    return sign_packet(packet, Signer(key, name or person.name, role, meaning), documents)


@pytest.fixture(scope="module")
def people():
    authority = Person("Example Authority", ca=True)
    names = {"author": "Ann Author", "reviewer": "Rae Reviewer", "approver": "Al Approver"}
    return authority, {role: Person(name, issuer=authority) for role, name in names.items()}


@pytest.fixture(scope="module")
def signed(tmp_path_factory, sealed, people):
    """A packet signed by all three; not to be changed."""
    packet = shutil.copytree(sealed, tmp_path_factory.mktemp("signed") / "packet")
    for role, person in people[1].items():
        assert sign(packet, person, role) == ["01-one.pdf", "02-two.pdf"]
    return packet


def signatures(path, trust=None):
    return read_signatures(path.read_bytes(), path.name, trust)


def page_text(path):
    """The text of the pages with their annotations, which is where signatures are shown."""
    tool = shutil.which("pdftotext")
    if tool is None:
        pytest.skip("pdftotext is not installed")
    return subprocess.run([tool, path, "-"], capture_output=True, text=True).stdout


def test_three_people_sign_every_document(signed, people):
    trust = [people[0].certificate]
    for path in sorted(signed.glob("*.pdf")):
        found = signatures(path, trust)
        assert [(item.role, item.name, item.meaning) for item in found] == [
            (role, person.name, MEANING) for role, person in people[1].items()
        ]
        assert all(item.trusted and not item.problems and not item.stamped for item in found)
        assert all(abs(item.signed_at - NOW) < DAY for item in found)
        assert {item.content for item in found} == {read_manifest(signed)["content"]}
    assert manifest_problems(signed, read_manifest(signed)) == []


def test_an_unknown_authority_is_not_trusted(signed):
    stranger = Person("Another Authority", ca=True)
    assert not any(item.trusted for item in signatures(signed / "01-one.pdf", [stranger.certificate]))
    assert [item.trusted for item in signatures(signed / "01-one.pdf")] == [None] * 3


def test_the_signature_can_be_read_on_the_page(signed):
    text = PdfReader(signed / "01-one.pdf").pages[0]
    boxes = [annotation.get_object() for annotation in text["/Annots"]]
    shown = []
    for box in boxes:
        assert 39 <= box["/Rect"][1] < box["/Rect"][3] <= 103  # the band that documents keep free
        shown.append(str(box["/T"]))
    assert shown == ["author", "reviewer", "approver"]
    page = page_text(signed / "01-one.pdf")
    for name in ("Ann Author", "Rae Reviewer", "Al Approver"):
        assert name in page
    assert page.count(MEANING) == 3
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", page)


def test_another_tool_finds_the_signatures_valid(signed):
    tool = shutil.which("pdfsig")
    if tool is None:
        pytest.skip("pdfsig is not installed")
    told = subprocess.run([tool, "-nocert", signed / "01-one.pdf"], capture_output=True, text=True).stdout
    assert told.count("Signature is Valid.") == 3
    assert told.count("Total document signed") == 1  # by the last; the others each their revision
    assert told.count("ETSI.CAdES.detached") == 3


def test_another_tool_finds_the_file_sound(signed):
    tool = shutil.which("qpdf")
    if tool is None:
        pytest.skip("qpdf is not installed")
    for path in signed.glob("*.pdf"):
        done = subprocess.run([tool, "--check", path], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_development_key_is_named_on_the_page(packet, tmp_path):
    make_development_key(tmp_path / "dev.pem", "Ann Author")
    key = load_signing_key(tmp_path / "dev.pem", lambda: "")
    sign_packet(packet, Signer(key, "Ann Author", "author", MEANING), ["02-two.pdf"])
    (found,) = signatures(packet / "02-two.pdf")
    assert found.development
    assert "DEVELOPMENT KEY" in found.sentence
    assert signatures(packet / "01-one.pdf") == []
    assert "DEVELOPMENT KEY – not for submission" in page_text(packet / "02-two.pdf")


def test_a_pkcs12_key_signs_too(packet, tmp_path):
    ann = Person("Ann Author")
    key = load_signing_key(ann.pkcs12(tmp_path / "ann.p12", "open sesame"), lambda: "open sesame")
    sign_packet(packet, Signer(key, "Ann Author", "author", MEANING), ["01-one.pdf"])
    (found,) = signatures(packet / "01-one.pdf", load_certificates(ann.trusted(tmp_path / "ann.pem")))
    assert found.trusted
    assert not found.problems


@pytest.mark.parametrize(
    ("person", "why"),
    [
        (lambda: Person("A", begins=NOW - 2 * DAY, ends=NOW - DAY), "expired on"),
        (lambda: Person("A", begins=NOW + DAY), "is not valid before"),
        (lambda: Person("A", signs=False), "is not for signatures"),
        (lambda: Person("A", use=SERVER), "is not for documents"),
    ],
)
def test_a_certificate_that_may_not_sign_signs_nothing(packet, person, why):
    before = (packet / "01-one.pdf").read_bytes()
    with pytest.raises(HarnessError, match=why):
        sign(packet, person(), "author")
    assert (packet / "01-one.pdf").read_bytes() == before


def test_who_signs_is_whom_the_certificate_names(packet):
    with pytest.raises(HarnessError, match="the certificate is of Ann Author, not of Al Approver"):
        sign(packet, Person("Ann Author"), "author", name="Al Approver")


@pytest.mark.parametrize("meaning", ["", "  ", "two\nlines", "x" * 301])
def test_a_signature_needs_a_meaning(packet, meaning):
    with pytest.raises(HarnessError, match="needs a meaning"):
        sign(packet, Person("Ann Author"), "author", meaning)


def test_roles_sign_in_their_order_and_once(packet, people):
    person = people[1]
    with pytest.raises(HarnessError, match="no author signed before"):
        sign(packet, person["approver"], "approver")
    sign(packet, person["author"], "author", documents=["01-one.pdf"])
    with pytest.raises(HarnessError, match="author signed twice"):
        sign(packet, Person("Second Author"), "author", documents=["01-one.pdf"])
    sign(packet, person["approver"], "approver", documents=["01-one.pdf"])
    with pytest.raises(HarnessError, match="signed in the wrong order"):
        sign(packet, person["reviewer"], "reviewer", documents=["01-one.pdf"])


def test_several_reviewers_sign(packet, people):
    sign(packet, people[1]["author"], "author", documents=["01-one.pdf"])
    for name in ("First Reviewer", "Second Reviewer"):
        sign(packet, Person(name), "reviewer", documents=["01-one.pdf"])
    sign(packet, people[1]["approver"], "approver", documents=["01-one.pdf"])
    found = signatures(packet / "01-one.pdf")
    assert [item.field for item in found] == ["author", "reviewer", "reviewer-2", "approver"]
    assert not any(item.problems for item in found)


@pytest.mark.parametrize("same", ["name", "key"])
def test_the_author_does_not_approve(packet, people, same):
    ann = people[1]["author"]
    sign(packet, ann, "author", documents=["01-one.pdf"])
    other = Person("ann  author") if same == "name" else ann
    with pytest.raises(HarnessError, match="the approver is the author"):
        sign(packet, other, "approver", documents=["01-one.pdf"])


def test_a_changed_packet_is_not_signed(packet, people):
    (packet / "01-one.html").write_text("<p>PASS</p>")
    with pytest.raises(LedgerError, match=r"01-one\.html: was changed .*; a changed packet is not signed"):
        sign(packet, people[1]["author"], "author")


def test_what_is_not_there_is_not_signed(packet, people, tmp_path):
    with pytest.raises(HarnessError, match=r"nothing\.pdf: no such document; there are: 01-one\.pdf, 02-two"):
        sign(packet, people[1]["author"], "author", documents=["nothing.pdf"])
    with pytest.raises(LedgerError, match=r"manifest\.json: is missing"):
        sign(tmp_path, people[1]["author"], "author")


def test_a_time_stamp_authority_that_does_not_answer_signs_nothing(packet, people, tmp_path):
    before = (packet / "01-one.pdf").read_bytes()
    key = load_signing_key(people[1]["author"].pem(tmp_path / "key.pem"), lambda: "")
    nowhere = "http://127.0.0.1:9/tsa"
    with pytest.raises(HarnessError, match="no time stamp came from there"):
        sign_packet(packet, Signer(key, "Ann Author", "author", MEANING, nowhere), ["01-one.pdf"])
    assert (packet / "01-one.pdf").read_bytes() == before


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_document_changed_after_signing_is_found(signed, share):
    content = bytearray((signed / "01-one.pdf").read_bytes())
    content[int(len(content) * share)] ^= 1
    try:
        found = read_signatures(bytes(content), "01-one.pdf")
    except LedgerError:
        return
    assert any("was changed after it was signed" in problem for item in found for problem in item.problems)


def test_what_is_appended_after_the_last_signature_is_found(signed):
    from io import BytesIO

    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    writer = IncrementalPdfFileWriter(BytesIO((signed / "01-one.pdf").read_bytes()), strict=False)
    writer.root["/Lang"] = writer.root.get("/Lang")
    writer.update_root()
    out = BytesIO()
    writer.write(out)
    found = read_signatures(out.getvalue(), "01-one.pdf")
    assert "does not cover the whole file" in found[-1].problems[0]
