import json
import os
import subprocess
import sys

import pyarrow as pa
import pytest

from harness.errors import LedgerError
from harness.ledger import Ledger, write_atomically

IDENTITY = {"suite": "s", "cohort": "c", "candidate": "m"}
SCHEMA = pa.schema([("study_id", pa.string()), ("status", pa.string())])


def records(*names, status="ok"):
    return [{"study_id": name, "status": status} for name in names]


def begin(root, identity=IDENTITY):
    return Ledger.writing(root, identity, b"name: x\n")


@pytest.fixture
def root(tmp_path):
    """A run folder with two parts of each table that is digested."""
    with begin(tmp_path / "run") as ledger:
        for table in ("cases", "predictions", "rows"):
            ledger.write(table, records("1", "3"), SCHEMA)
            ledger.write(table, records("2"), SCHEMA)
        ledger.write_results({"verdict": {"status": "PASS"}, "ledger": ledger.digest()})
    return tmp_path / "run"


def test_parts_come_back_sorted_and_only_once(root):
    ledger = Ledger(root)
    assert ledger.read("predictions").column("study_id").to_pylist() == ["1", "2", "3"]
    assert ledger.done("predictions") == {"1", "2", "3"}
    assert ledger.done("timings") == set()
    assert ledger.results()["verdict"]["status"] == "PASS"


def test_the_digest_depends_on_content_not_on_how_it_was_written(root, tmp_path):
    with begin(tmp_path / "other") as ledger:
        for table in ("rows", "predictions", "cases"):
            ledger.write(table, records("3", "2", "1"), SCHEMA)
        ledger.write("timings", records("1"), SCHEMA)
    assert ledger.digest() == Ledger(root).digest()
    with begin(tmp_path / "changed") as ledger:
        for table in ("rows", "predictions", "cases"):
            ledger.write(table, records("3", "2", "1", status="late"), SCHEMA)
    assert ledger.digest() != Ledger(root).digest()


@pytest.mark.parametrize("damage", ["change", "remove", "swap"])
def test_a_part_that_was_touched_is_found(root, damage):
    path, other = root / "rows" / "00000.parquet", root / "rows" / "00001.parquet"
    if damage == "change":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "remove":
        path.unlink()
    else:
        path.write_bytes(other.read_bytes())
    with pytest.raises(LedgerError, match=r"rows/00000\.parquet: (was changed|is in the log but not there)"):
        Ledger(root).read("rows")


def test_changed_results_and_identity_are_found(root):
    results = json.loads((root / "results.json").read_text())
    results["verdict"]["status"] = "FAIL"
    (root / "results.json").write_text(json.dumps(results))
    with pytest.raises(LedgerError, match=r"results\.json: was changed"):
        Ledger(root).results()
    (root / "run.json").write_text(json.dumps({**IDENTITY, "candidate": "better"}))
    with pytest.raises(LedgerError, match=r"run\.json: was changed"):
        Ledger(root)


def test_a_study_twice_is_found(tmp_path):
    with begin(tmp_path / "run") as ledger:
        ledger.write("rows", records("1"), SCHEMA)
        ledger.write("rows", records("1"), SCHEMA)
        with pytest.raises(LedgerError, match="stands twice in rows"):
            ledger.read("rows")


def test_another_run_is_not_mixed_in(root):
    before = sorted(path.read_bytes() for path in root.rglob("*") if path.is_file())
    with (
        pytest.raises(LedgerError, match="another run; different: candidate, lock") as caught,
        begin(root, {**IDENTITY, "candidate": "other", "lock": "l"}),
    ):
        pass
    assert caught.value.exit_code == 2
    assert sorted(path.read_bytes() for path in root.rglob("*") if path.is_file()) == before


def test_a_folder_of_something_else_is_refused_untouched(tmp_path):
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(LedgerError, match="is not empty and holds no run"), begin(tmp_path):
        pass
    assert (tmp_path / "thesis.doc").read_text() == "years of work"


def test_no_run_and_incomplete_runs_are_not_read_as_results(tmp_path):
    with pytest.raises(LedgerError, match="no run here"):
        Ledger(tmp_path)
    with begin(tmp_path / "run") as ledger:
        pass
    with pytest.raises(LedgerError, match="no predictions yet") as caught:
        ledger.read("predictions")
    assert caught.value.exit_code == 3
    with pytest.raises(LedgerError, match="not complete"):
        ledger.results()


def test_what_a_crash_left_outside_the_log_is_removed(root):
    (root / "rows" / "00002.parquet").write_bytes(b"written, not entered")
    (root / "rows" / "00003.tmp").write_bytes(b"half")
    with (root / "log.jsonl").open("ab") as log:
        log.write(b'{"seq":')
    with begin(root) as ledger:
        assert sorted(path.name for path in (root / "rows").iterdir()) == ["00000.parquet", "00001.parquet"]
        ledger.write("rows", records("4"), SCHEMA)
    assert Ledger(root).done("rows") == {"1", "2", "3", "4"}


def test_a_second_writer_is_refused_and_removes_nothing(root):
    with begin(root):
        (root / "rows" / "00002.tmp").write_bytes(b"the first writer is at it")
        code = (
            "from harness.ledger import Ledger; from pathlib import Path; import sys\n"
            f"with Ledger.writing(Path(sys.argv[1]), {IDENTITY!r}, b'name: x\\n'): pass"
        )
        second = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, text=True)
        assert "another process is writing this run" in second.stderr
        assert (root / "rows" / "00002.tmp").exists()


def test_a_full_disk_loses_nothing(root, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    with begin(root) as ledger:
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            with pytest.raises(LedgerError, match="No space left on device"):
                ledger.write("rows", records("4"), SCHEMA)
            with pytest.raises(LedgerError, match="No space left on device"):
                write_atomically(root / "results.json", b"{}")
        ledger.write("rows", records("4"), SCHEMA)
    assert Ledger(root).done("rows") == {"1", "2", "3", "4"}
    assert Ledger(root).results()["verdict"]["status"] == "PASS"


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot be written"), begin(tmp_path / "file" / "run"):
        pass
