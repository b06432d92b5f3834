from harness.data_files import data_path
from harness.dossier.checklists import read_checklists
from harness.packet import Packet, read_packet


def items(packet):
    return {
        checklist.name: {item.id: item for item in checklist.items} for checklist in read_checklists(packet)
    }


def test_all_four_lists_are_whole_and_every_item_once():
    found = items(Packet())
    claim, tripod = found["claim"], found["tripod"]
    assert list(claim) == [str(number) for number in range(1, 45)], "CLAIM 2024 has 44 items"
    assert {name.rstrip("abcdefg") for name in tripod} == {str(number) for number in range(1, 28)}
    assert {name.rstrip("ab") for name in found["stard"] if name[0].isdigit()} == {
        str(n) for n in range(1, 31)
    }
    assert len(found["gmlp"]) == 10


def test_an_empty_packet_addresses_less_and_says_what_is_lacking():
    empty, whole = items(Packet()), items(read_packet(data_path("suites") / "packets" / "phantom.yaml"))
    for name in empty:
        answered = {key for key, item in empty[name].items() if item.answers}
        assert answered < {key for key, item in whole[name].items() if item.answers}
    assert empty["stard"]["30"].why == "the packet file lacks study.funding"
    assert empty["stard"]["30"].answers == ()
    assert whole["stard"]["30"].answers == ("1, Study design and protocol",)


def test_what_no_packet_answers_is_never_called_answered():
    whole = items(read_packet(data_path("suites") / "packets" / "phantom.yaml"))
    assert whole["gmlp"]["7"].answers == ()
    assert all(bool(item.answers) != bool(item.why) for found in whole.values() for item in found.values())
