import pytest

from harness.data_files import data_path
from harness.errors import PacketError
from harness.packet import read_packet
from harness.packet.schema import COMPARED, SECTIONS, OtherDevice


def write(folder, text):
    path = folder / "packet.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder, text):
    with pytest.raises(PacketError) as caught:
        read_packet(write(folder, text))
    return caught.value.problems


@pytest.mark.parametrize("name", ["phantom", "phantom-multimodal"])
def test_the_examples_are_whole(name):
    assert read_packet(data_path("suites") / "packets" / f"{name}.yaml").missing() == []


def test_an_empty_packet_lists_every_section(tmp_path):
    missing = dict(read_packet(write(tmp_path, "title: T\n")).missing())
    assert set(missing) == set(SECTIONS)
    assert all(missing.values())


def test_reference_devices_alone_need_a_reason(tmp_path):
    text = "devices: [{name: X, role: reference device}]\n"
    assert "no_predicate" in dict(read_packet(write(tmp_path, text)).missing())
    assert "no_predicate" not in dict(
        read_packet(write(tmp_path, text + "no_predicate: new kind\n")).missing()
    )


def test_named_runs_that_are_absent_are_missing(tmp_path):
    names = dict(read_packet(write(tmp_path, "runs: {repeat: x}\n")).missing())
    assert "runs.reproduction" in names
    assert "runs.repeat" not in names


HAZARD = """\
hazards:
  - {id: H1, hazard: h, situation: s, harm: x, severity: serious, probability: remote}
"""


BOUNDS = "modifications: [{{id: M, change: c, method: m, bounds: [{}]}}]\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("devcie: {}\n", ":1:1: devcie: unknown key; did you mean device?"),
        (HAZARD.replace("severity: serious", "severity: awful"), "hazards[0].severity: input should be"),
        (HAZARD + "  - {id: H1, hazard: h, situation: s, harm: x, severity: minor, probability: remote}\n",
         ":3:6: hazards[1].id: H1 stands twice"),
        ("requirements: [{id: R, text: t, hazards: [H9]}]\n", "requirements[0].hazards[0]: H9 is no hazard"),
        (BOUNDS.format("{measure: bleu4, at_least: 98}"),
         "at_least: 98 is not a fraction between 0 and 1; for 98 % write 0.98"),
        (BOUNDS.format(""), "needs at least one entry"),
        (BOUNDS.format("{measure: x, at_least: 0.5, at_most: 0.6}"),
         "needs exactly one of at_least, at_most"),
        ("previous: {version: '1'}\n", "needs version and risk_file, or none with the reason"),
        ("devices: [{name: X, role: predicate, discussion: {colour: same}}]\n", "'colour', which is no row"),
        ("signers: [{name: A, role: B, meaning: boss}]\n", "signers[0].meaning"),
        ("- a list\n", "a packet is a mapping"),
        ("title: [\n", "not valid YAML"),
    ],
)  # fmt: skip
def test_problems_name_their_place(tmp_path, text, told):
    assert any(told in problem for problem in problems(tmp_path, text))


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(PacketError, match="no such file"):
        read_packet(tmp_path / "none.yaml")


def test_every_row_of_the_comparison_is_a_field_of_the_other_device():
    assert set(COMPARED) <= set(OtherDevice.model_fields)
