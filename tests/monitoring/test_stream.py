import json
import os
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.monitoring.records import Faults
from harness.monitoring.stream import Position, Stream
from harness.staging.followed import Followed
from production import lines, report


def read(stream, until=None):
    faults = Faults()
    return [(str(place), value) for place, value in stream.lines(faults, until)], faults


def test_each_line_is_read_once_and_a_half_written_one_waits(tmp_path):
    path = tmp_path / "a.jsonl"
    whole = lines([report("s0", 0), report("s1", 0)])
    path.write_text(whole[:-9])
    stream = Stream(path)
    first, _ = read(stream)
    assert [place for place, _ in first] == ["a.jsonl:1"]
    assert stream.waiting == {"a.jsonl": 2}
    path.write_text(whole)
    second, _ = read(stream)
    assert [(place, value["study_id"]) for place, value in second] == [("a.jsonl:2", "s1")]
    assert stream.waiting == {}
    assert read(stream)[0] == []


def test_broken_lines_are_counted_with_their_place(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"x": 1}\nnot json\n\n{"x": 2}\n' + "[" * 100_000 + "\n")
    found, faults = read(Stream(tmp_path))
    assert [value for _, value in found] == [{"x": 1}, {"x": 2}]
    assert faults.take() == {"not JSON": {"count": 2, "places": ["a.jsonl:2", "a.jsonl:5"]}}


def test_a_folder_is_read_by_name_and_new_files_are_found(tmp_path):
    (tmp_path / "b.jsonl").write_text('{"x": 2}\n')
    (tmp_path / "a.jsonl").write_text('{"x": 1}\n')
    (tmp_path / "notes.txt").write_text("not a stream")
    stream = Stream(tmp_path)
    assert [value["x"] for _, value in read(stream)[0]] == [1, 2]
    (tmp_path / "c.jsonl").write_text('{"x": 3}\n')
    with (tmp_path / "a.jsonl").open("a") as more:
        more.write('{"x": 4}\n')
    assert [(place, value["x"]) for place, value in read(stream)[0]] == [("a.jsonl:2", 4), ("c.jsonl:1", 3)]


def write(path, hours, prefix):
    path.write_text(lines([report(f"{prefix}{hour}", hour) for hour in hours]))


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_files_of_a_folder_are_merged_by_time(tmp_path, kind):
    for name, hours in (("a", [0, 1, 5]), ("b", [0.5, 2, 3]), ("c", [4])):
        write(tmp_path / f"{name}.jsonl", hours, name)
    if kind == "parquet":
        records = [report("p0", 0.2), report("p1", 4.5)]
        pq.write_table(pa.Table.from_pylist(records), tmp_path / "p.parquet")
    stream = Stream(tmp_path)
    found = [value["study_id"] for _, value in read(stream)[0] if value["study_id"][0] != "p"]
    assert found == ["a0", "b0.5", "a1", "b2", "b3", "c4", "a5"]
    with (tmp_path / "b.jsonl").open("a") as more:
        more.write(lines([report("b6", 6), report("b8", 8)]))
    with (tmp_path / "c.jsonl").open("a") as more:
        more.write(lines([report("c7", 7)]))
    assert [value["study_id"] for _, value in read(stream)[0]] == ["b6", "c7", "b8"]
    times = [value["time"] for _, value in read(Stream(tmp_path))[0]]
    assert times == sorted(times)


def test_positions_are_exact_wherever_a_merged_reading_stops(tmp_path):
    write(tmp_path / "a.jsonl", range(0, 20, 2), "a")
    write(tmp_path / "b.jsonl", range(1, 20, 2), "b")
    whole = [place for place, _ in read(Stream(tmp_path))[0]]
    for stop in range(len(whole)):
        stream = Stream(tmp_path)
        lines_of = stream.lines(Faults())
        some = [str(next(lines_of)[0]) for _ in range(stop)]
        again = Stream(tmp_path)
        again.positions = {name: Position(at.offset, at.line) for name, at in stream.positions.items()}
        assert some + [place for place, _ in read(again)[0]] == whole


def test_a_mad_clock_holds_up_neither_its_file_nor_the_others(tmp_path):
    write(tmp_path / "a.jsonl", [0, 2, 9000, 4, 6], "a")
    write(tmp_path / "b.jsonl", [1, -9000, 3, 5], "b")
    found = [value["study_id"] for _, value in read(Stream(tmp_path))[0]]
    assert found == ["a0", "b1", "b-9000", "b3", "a2", "a9000", "a4", "b5", "a6"]


def test_a_folder_of_many_files_holds_few_of_them_open(tmp_path):
    resource = pytest.importorskip("resource")
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("counts its open files by /proc")
    for number in range(300):
        write(tmp_path / f"{number:03}.jsonl", [number, number + 0.5], f"{number}-")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    already = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (already + 60, hard))
    try:
        found = read(Stream(tmp_path))[0]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(found) == 600


step = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0, 1, 2, 3, 900, -900])), max_size=6)


@given(st.lists(step, max_size=5), st.data())
@settings(max_examples=60, deadline=None)
def test_what_was_read_in_steps_is_read_again_in_the_same_order(steps, data):
    """Whatever the clocks, and wherever a step ended: a resume finds the records that it found before."""
    with tempfile.TemporaryDirectory() as folder:
        root, entries, number = Path(folder), [], 0
        first = Followed(root, Faults())
        for lines_of in steps:
            for name, hours in lines_of:
                number += 1
                with (root / f"{name}.jsonl").open("a") as more:
                    more.write(lines([report(f"s{number}", number + hours)]))
            for _ in first.lines():
                if data.draw(st.booleans()):
                    entries.append(first.mark())
            entries.append(first.mark())
        again = Followed(root, Faults())
        for seq, entry in enumerate(entries):
            list(again.again(entry | {"seq": seq}))


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_part_can_be_read_again(tmp_path, kind):
    records = [report(f"s{n}", n) for n in range(6)]
    path = tmp_path / f"a.{kind}"
    if kind == "jsonl":
        path.write_text(lines(records))
    else:
        pq.write_table(pa.Table.from_pylist(records), path)
    stream = Stream(path)
    offsets = {}
    for place, value in stream.lines(Faults()):
        offsets[value["study_id"]] = (place.offset, place.line)
    again = Stream(path)
    again.positions[path.name] = Position(offsets["s2"][0], offsets["s2"][1] - 1)
    found, _ = read(again, until={path.name: offsets["s5"][0]})
    assert [value["study_id"] for _, value in found] == ["s2", "s3", "s4"]
    assert found[0][0] == f"a.{kind}:3"
    rest, _ = read(again)
    assert [value["study_id"] for _, value in rest] == ["s5"]


def test_parquet_and_json_give_the_same_records(tmp_path):
    from harness.monitoring.records import parse

    records = [report("s0", 0, embedding=[1.0, 2.0]), report("s1", 1, latency_s=None, rejected=None)]
    (tmp_path / "a.jsonl").write_text(json.dumps(records[0]) + "\n" + json.dumps(records[1]) + "\n")
    (tmp_path / "p").mkdir()
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "p" / "a.parquet")
    both = []
    for path in (tmp_path / "a.jsonl", tmp_path / "p"):
        faults = Faults()
        parsed = [parse(value, place, faults) for place, value in Stream(path).lines(faults)]
        assert not faults.counts
        both.append([(r.key, r.time, r.latency_s, r.findings, r.rejected) for r in parsed])
    assert both[0] == both[1]


def test_a_stream_that_was_cut_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"x": 1}\n{"x": 2}\n')
    stream = Stream(path)
    read(stream)
    for anew in ('{"x": 1}\n', '{"x": 100000000}\n{"x": 2000000}\n'):  # shorter; longer
        path.write_text(anew)
        with pytest.raises(HarnessError, match="was cut or written anew"):
            read(stream)


def test_missing_and_broken_sources_are_refused(tmp_path):
    with pytest.raises(HarnessError, match="nothing to monitor"):
        read(Stream(tmp_path / "nowhere"))
    with pytest.raises(HarnessError, match="cannot be read: File name too long"):
        read(Stream(tmp_path / ("x" * 300)))
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(HarnessError, match="not a whole Parquet file"):
        read(Stream(tmp_path))
