import gzip
import json
import os
import pickle

import pytest

from harness.errors import CohortError
from harness.records import RecordFile, read_records


def write(path, text):
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def rows(path):
    return list(read_records(path, CohortError))


def test_csv_rows_come_with_their_line(tmp_path):
    path = write(tmp_path / "a.csv", 'study_id,report\n1,"two\nlines, and a comma"\n\n2,\n')
    assert rows(path) == [
        (2, {"study_id": "1", "report": "two\nlines, and a comma"}),
        (5, {"study_id": "2", "report": ""}),
    ]


def test_jsonl_rows_come_with_their_line(tmp_path):
    path = write(tmp_path / "a.jsonl.gz", '{"study_id": 1}\n\n{"study_id": 2}\n')
    assert rows(path) == [(1, {"study_id": 1}), (3, {"study_id": 2})]


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_data(tmp_path):
    path = write(tmp_path / "a.csv", b"\xef\xbb\xbfstudy_id,report\r\n1,x\r\n")
    assert rows(path) == [(2, {"study_id": "1", "report": "x"})]


def test_a_report_of_10_mb_is_read_whole(tmp_path):
    text = "effusion " * 1_200_000
    path = write(tmp_path / "a.jsonl", json.dumps({"study_id": "1", "report": text}))
    assert rows(path)[0][1]["report"] == text
    path = write(tmp_path / "a.csv", f"study_id,report\n1,{text}\n")
    assert rows(path)[0][1]["report"] == text


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", b"study_id,report\n1\n", r"a\.csv:2: 1 values under 2 columns"),
        ("a.csv", b"study_id,study_id\n1,2\n", r"a\.csv:1: column study_id stands twice"),
        ("a.csv", b'study_id,report\n1,"cut', r"a\.csv:2: not valid CSV"),
        ("a.csv", b"study_id,report\n1,\xff\xfe\n", r"a\.csv: near line \d+: not UTF-8"),
        ("a.csv", b"study_id,report\n1,a\x00b\n", r"a\.csv:2: holds a NUL"),
        ("a.jsonl", b'{"report": {"impression": "a\\u0000b"}}\n', r"a\.jsonl:1: holds a NUL"),
        ("a.jsonl", b'{"study_id": 1}\n{"study_id": 2', r"a\.jsonl:2: not valid JSON"),
        ("a.jsonl", b"[1, 2]\n", r"a\.jsonl:1: must be an object"),
        ("a.txt", b"", r"must be \.csv or \.jsonl"),
    ],
)
def test_bad_files_are_refused_with_the_line(tmp_path, name, content, told):
    with pytest.raises(CohortError, match=told):
        rows(write(tmp_path / name, content))


def test_a_truncated_archive_is_refused(tmp_path):
    path = write(tmp_path / "a.csv.gz", "study_id,report\n" + "1,abc\n" * 5000)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CohortError, match="cut short"):
        rows(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(CohortError, match="no such file"):
        rows(tmp_path / "a.csv")


ROWS = [
    {"study_id": "1", "report": 'Two\nlines, "quoted".'},
    {"study_id": "2", "report": "Größe normal."},
    {"study_id": "3", "report": "x" * 40_000},
]


def as_csv(rows):
    cells = ('"{}","{}"'.format(*(value.replace('"', '""') for value in row.values())) for row in rows)
    return "study_id,report\r\n" + "\r\n".join(cells) + "\r\n\r\n"


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.jsonl", "a.jsonl.gz", "bare"])
def test_rows_are_read_again_by_place_in_any_order_in_any_process(tmp_path, name):
    path = tmp_path / name
    text = as_csv(ROWS) if "csv" in name else "\n".join(json.dumps(row) for row in ROWS)
    content = ("\ufeff" + text).encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    file = RecordFile(path, CohortError)
    found = list(file.scan())
    assert [row for _, _, row in found] == ROWS
    assert [(line, row) for line, _, row in found] == list(read_records(path, CohortError))
    copy = pickle.loads(pickle.dumps(file))  # noqa: S301 - its own bytes
    for _, place, row in reversed(found):
        assert file.at(place) == copy.at(place) == row
    child = os.fork()
    if not child:
        os._exit(0 if file.at(found[1][1]) == ROWS[1] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert file.at(found[2][1]) == ROWS[2]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_file_cut_while_in_use_is_told(tmp_path, name):
    path = tmp_path / name
    path.write_text(as_csv(ROWS) if "csv" in name else "\n".join(json.dumps(row) for row in ROWS))
    file = RecordFile(path, CohortError)
    place = [place for _, place, _ in file.scan()][-1]
    os.truncate(path, place + 20)
    with pytest.raises(CohortError, match="was changed while it was in use"):
        file.at(place)
