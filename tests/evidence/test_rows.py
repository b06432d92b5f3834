import json
import shutil

import pyarrow.parquet as pq
import pytest

from harness.conclude import conclude
from harness.errors import LedgerError
from harness.evidence import open_evidence
from harness.evidence.rows import ROWS, STUDY_COLUMNS
from harness.ledger import Ledger
from harness.suite import read_suite


@pytest.fixture
def evidence(sealed, tmp_path):
    return shutil.copytree(sealed / "evidence", tmp_path / "evidence")


def rewrite(folder, change):
    table = pq.read_table(folder / ROWS)
    pq.write_table(change(table), folder / ROWS)


def test_results_follow_from_the_attached_rows_to_the_last_digit(sealed, finished_run):
    evidence = open_evidence(sealed / "evidence")
    again = json.loads(json.dumps(conclude(evidence, read_suite(finished_run / "suite.yaml"))))
    assert again == Ledger(finished_run).results()


def test_the_rows_are_those_of_the_ledger_under_other_names(sealed, finished_run):
    evidence, ledger = open_evidence(sealed / "evidence"), Ledger(finished_run)
    for table, column in (
        ("rows", "bleu4"),
        ("rows", "candidate_labels"),
        ("cases", "labels"),
        ("timings", "latency_s"),
    ):
        theirs, ours = (
            sorted(map(str, source.read(table).column(column).to_pylist())) for source in (ledger, evidence)
        )
        assert ours == theirs
    ids = evidence.read("predictions").column("study_id").to_pylist()
    assert ids == sorted(ids)
    assert not set(ids) & set(ledger.read("cases").column("study_id").to_pylist())
    patients = evidence.read("cases").column("patient_id").to_pylist()
    assert len(set(patients)) == evidence.results()["flow"]["patients"]
    assert evidence.digest() == ledger.digest()


def test_every_column_has_a_name(sealed, finished_run):
    names = pq.read_schema(sealed / "evidence" / ROWS).names
    measures = read_suite(finished_run / "suite.yaml").build_measures()
    assert names == [
        *STUDY_COLUMNS,
        *(f"{key}/{name}" for key, one in measures.items() for name in one.columns),
    ]


def test_damaged_rows_are_refused(evidence):
    rewrite(evidence, lambda table: table.drop_columns(["bleu4/match1"]))
    with pytest.raises(LedgerError, match=r"rows\.parquet: no column .*bleu4/match1"):
        open_evidence(evidence).read("rows")
    rewrite(evidence, lambda table: table.drop_columns(["cluster"]))
    with pytest.raises(LedgerError, match=r"rows\.parquet: lacks the columns cluster"):
        open_evidence(evidence)
    (evidence / ROWS).write_bytes(b"PAR1")
    with pytest.raises(LedgerError, match=r"rows\.parquet: cannot be read"):
        open_evidence(evidence)


def test_rows_that_are_no_whole_numbers_are_refused(evidence):
    def halve(table):
        place = table.column_names.index("bleu4/match1")
        return table.set_column(place, "bleu4/match1", [[0.5] * table.num_rows])

    rewrite(evidence, halve)
    with pytest.raises(LedgerError, match="column bleu4 holds what is no whole number"):
        open_evidence(evidence).read("rows")


@pytest.mark.parametrize("content", ["", "[]", "words"])
def test_a_damaged_identity_is_refused(evidence, content):
    (evidence / "run.json").write_text(content)
    with pytest.raises(LedgerError, match=r"run\.json: (cannot be read|is no JSON object)"):
        open_evidence(evidence)
