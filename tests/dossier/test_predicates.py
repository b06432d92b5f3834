from harness.dossier.predicates import compare
from harness.packet.schema import COMPARED, Packet

PACKET = Packet.model_validate(
    {
        "device": {"name": "D", "version": "1", "manufacturer": "M", "description": "d", "locked": True,
                   "product_code": "QIH", "input": "X-ray"},
        "devices": [
            {"name": "P", "role": "predicate", "locked": True, "product_code": "QIH", "input": "CT",
             "sensitivity": {"value": 0.9, "source": "s"}, "discussion": {"deployment": "Same. Both local."}},
        ],
    }
)  # fmt: skip


def rows(packet, said=None):
    [found] = compare(packet, said or {})
    return {row["key"]: row for row in found["rows"]}


def test_every_row_is_there_and_nothing_is_called_the_same_that_is_not():
    found = rows(PACKET)
    assert list(found) == list(COMPARED)
    assert found["product_code"]["assessment"] == "same wording"
    assert (found["locked"]["ours"], found["locked"]["assessment"]) == ("yes", "same wording")
    assert found["input"]["assessment"].startswith("different")
    assert found["workflow"]["assessment"] == "cannot be compared"
    assert found["deployment"]["assessment"] == "Same. Both local."
    assert found["sensitivity"]["rate"].value == 0.9


def test_what_the_ledger_knows_is_not_asked_of_the_packet():
    assert rows(PACKET, {"views": "AP, PA"})["views"]["ours"] == "AP, PA"
