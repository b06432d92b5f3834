"""What an export may hold, and what is refused, with its line and never a patient's name."""

from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from trials import PAIRED, RANDOMISED, simulate, write_csv

from harness.ab.export import read_export
from harness.ab.ratings import read_ratings
from harness.errors import CohortError
from harness.report import Finding

NAME = "Zebedee"


def rows(design=PAIRED, studies=6):
    made = simulate(design, studies, 3, None)
    for row in made:
        row["patient"] = f"{NAME}-{row['patient']}"
    return made


def read(tmp_path, made, design=PAIRED):
    write_csv(tmp_path / "r.csv", made)
    return read_ratings(tmp_path / "r.csv", design)


def refused(tmp_path, made, design=PAIRED):
    with pytest.raises(CohortError) as caught:
        read(tmp_path, made, design)
    told = str(caught.value)
    assert NAME not in told
    assert "pneumothorax." not in told.lower().replace("pneumothorax,", "")
    return told


def test_rows_come_back_as_they_were_written(tmp_path):
    made = rows()
    found = read(tmp_path, made)
    assert len(found) == len(made)
    known = {(row["study"], row["reader"], row["arm"] == "candidate"): row for row in made}
    for place in range(len(found)):
        row = known[found.study[place], found.reader[place], bool(found.challenger[place])]
        assert found.draft[place] == row["draft"]
        assert found.turnaround[place] == float(row["turnaround"])
        written = {Finding(name) for name in row["critical_present"].split(";") if name != "none"}
        assert found.present[place] == written


def test_the_order_of_the_file_does_not_count(tmp_path):
    made = rows()
    first = read(tmp_path, made).digest()
    np.random.default_rng(0).shuffle(made)
    assert read(tmp_path, made).digest() == first
    made[0]["final"] += " Added."
    assert read(tmp_path, made).digest() != first


def test_parquet_is_the_same_as_csv(tmp_path):
    made = rows()
    for row in made:
        row["turnaround"] = float(row["turnaround"])
        row["rating"] = None if row["rating"] == "" else float(row["rating"])
    pq.write_table(pa.Table.from_pylist(made), tmp_path / "r.parquet")
    assert read_ratings(tmp_path / "r.parquet", PAIRED).digest() == read(tmp_path, rows()).digest()


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("rating", "0", "r.csv:4: rating is 0, but a rating is a whole number from 1 to 5"),
        ("rating", "6", "rating is 6, but"),
        ("rating", "3.5", "rating is 3.5, but"),
        ("rating", "good", "rating is no number"),
        ("rating", "nan", "rating is no number"),
        ("turnaround", "inf", "turnaround is no finite number of minutes"),
        ("turnaround", "nan", "turnaround is no finite number"),
        ("turnaround", "-3", "turnaround is -3 minutes: the clock goes back"),
        ("turnaround", "soon", "turnaround is no finite number"),
        ("arm", "placebo", "arm is neither production nor candidate"),
        ("arm", "", "arm is neither"),
        ("arm_guess", "both", "arm_guess is neither production nor candidate nor unsure nor blank"),
        ("study", "", "study is blank"),
        ("patient", " ", "patient is blank"),
        ("reader", "", "reader is blank"),
        (
            "critical_present",
            "Pneumothrax",
            "critical_present holds what is no critical finding of the design",
        ),
        ("critical_present", "", 'critical_present is blank beside an adjudicated one; write "none"'),
        ("critical_reported", "", "critical_reported is blank beside"),
    ],
)
def test_a_bad_cell_is_told_with_its_line(tmp_path, column, value, told):
    made = rows()
    made[2][column] = value
    assert told in refused(tmp_path, made)


def test_lines_are_those_of_the_file_where_texts_run_over_several(tmp_path):
    made = rows()
    for row in made[:2]:
        row["final"] = row["final"] + "\nSecond line.\nThird line."
    made[2]["rating"] = 0
    assert "r.csv:8: rating is 0" in refused(tmp_path, made)


def test_every_problem_is_told_up_to_a_dozen(tmp_path):
    made = rows(studies=10)
    for row in made:
        row["rating"] = 9
    told = refused(tmp_path, made).splitlines()
    assert len(told) == 13
    assert f"and {len(made) - 12} more problems" in told[-1]


def test_a_row_twice_a_study_of_two_patients_and_two_drafts_of_one_model_are_refused(tmp_path):
    assert "r.csv:26: the same study, arm and reader as line 3; keep one row" in refused(
        tmp_path, [*rows(), rows()[1]]
    )
    made = rows()
    made[1]["patient"] = "other"
    assert "another patient for the study of line 2" in refused(tmp_path, made)
    made = rows()
    made[1]["draft"] += " More."
    assert "r.csv:3: draft differs from line 2, for the same draft" in refused(tmp_path, made)
    made = rows()
    made[1]["critical_present"], made[1]["critical_reported"] = "Fracture", "none"
    assert "critical_present differs from line 2, for the same study" in refused(tmp_path, made)


def test_a_patient_in_both_arms_of_a_randomised_design_is_refused(tmp_path):
    made = rows(RANDOMISED, 40)
    made.append(
        {**made[0], "study": "other", "arm": "candidate" if made[0]["arm"] == "production" else "production"}
    )
    told = refused(tmp_path, made, RANDOMISED)
    assert "r.csv:42: a patient in both arms (see line 2)" in told
    assert "harness ab assign" in told


def test_one_arm_alone_is_refused(tmp_path):
    made = [row for row in rows() if row["arm"] == "production"]
    assert "no row of arm candidate; both arms are needed" in refused(tmp_path, made)


def test_a_column_that_is_not_there_is_told_with_how_to_map_it(tmp_path):
    made = [
        {("Ratings" if name == "rating" else name): value for name, value in row.items()} for row in rows()
    ]
    told = refused(tmp_path, made)
    assert "r.csv:1: no column rating (is it Ratings?); map it in the design: columns.rating" in told


def test_columns_are_mapped_by_the_design(tmp_path):
    design = PAIRED.model_copy(update={"columns": PAIRED.columns.model_copy(update={"rating": "Note"})})
    made = [{("Note" if name == "rating" else name): value for name, value in row.items()} for row in rows()]
    assert read(tmp_path, made, design).digest() == read(tmp_path, rows()).digest()


def clocked(begin="2026-03-01T10:00:00", end="2026-03-01T10:12:30"):
    made = rows()
    for row in made:
        del row["turnaround"]
        row["drafted_at"], row["finalised_at"] = begin, end
    return made


def test_turnaround_may_be_two_times(tmp_path):
    assert (read(tmp_path, clocked()).turnaround == 12.5).all()
    assert (read(tmp_path, clocked(end="2026-03-02T10:00:00")).turnaround == 24 * 60).all()
    blank = clocked()
    blank[0]["finalised_at"] = ""
    assert np.isnan(read(tmp_path, blank).turnaround).sum() == 1


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("2026-03-01T09:59:59", "finalised_at lies before the draft: the clock goes back"),
        ("yesterday", "finalised_at is no ISO 8601 time"),
        ("2026-03-01T10:10:00+02:00", "finalised_at has a time zone on one side only"),
    ],
)
def test_clocks_that_go_back_are_refused(tmp_path, end, told):
    made = clocked()
    made[4]["finalised_at"] = end
    assert f"r.csv:6: {told}" in refused(tmp_path, made)


def test_neither_minutes_nor_times_is_told(tmp_path):
    made = [{name: value for name, value in row.items() if name != "turnaround"} for row in rows()]
    assert "no column turnaround, nor both drafted_at and finalised_at" in refused(tmp_path, made)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty file; export it again"),
        (b"study,patient\n", "a header and no row"),
        (b"a,b\n1,2,3\n", "t.csv:2: 3 cells, but the header has 2 columns"),
        (b'a,b\n1,"2\n', "is a quotation mark left open"),
        (b"a,a\n1,2\n", "column a stands twice"),
        ("a,b\n1,\u00e9\n".encode("latin-1"), "not UTF-8 text"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, told):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(CohortError, match=told):
        read_export(tmp_path / "t.csv")


def test_missing_files_and_damaged_parquet_are_refused(tmp_path):
    with pytest.raises(CohortError, match="no such file"):
        read_export(tmp_path / "none.csv")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(CohortError, match="not a readable Parquet file"):
        read_export(tmp_path / "t.parquet")


def test_parquet_cells_become_the_text_that_csv_would_hold(tmp_path):
    table = pa.table({"a": [1.0, None], "b": [["x", "y"], []], "c": [datetime(2026, 1, 2, 3), None]})
    pq.write_table(table, tmp_path / "t.parquet")
    found = read_export(tmp_path / "t.parquet")
    assert found.rows[0] == {"a": "1", "b": "x;y", "c": "2026-01-02T03:00:00"}
    assert found.rows[1] == {"a": "", "b": "none", "c": ""}
    assert found.place(1).endswith("t.parquet: row 2")
