import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from harness.resampling_ids import resampling_ids


def cases(patients):
    return pa.table({"patient_id": pa.array(patients, pa.string())})


@given(st.lists(st.text(max_size=5)), st.integers(0, 2**31))
def test_patients_keep_apart_and_together(patients, seed):
    found = resampling_ids(cases(patients), seed)
    assert len(found) == len(patients)
    assert len(set(zip(patients, found, strict=True))) == len(set(patients)) == len(set(found))
    assert set(found) == {f"{rank:08d}" for rank in range(len(set(patients)))}


@given(st.lists(st.text(max_size=5)), st.randoms())
def test_neither_the_order_of_studies_counts_nor_how_many_a_patient_has(patients, random):
    before = dict(zip(patients, resampling_ids(cases(patients), 3), strict=True))
    moved = [*patients, *patients]
    random.shuffle(moved)
    assert dict(zip(moved, resampling_ids(cases(moved), 3), strict=True)) == before


def test_the_order_of_ids_is_not_told():
    patients = [f"p{k:04d}" for k in range(200)]
    found = resampling_ids(cases(patients), 1)
    assert sorted(found) != found
    assert resampling_ids(cases(patients), 2) != found


def test_evidence_keeps_the_names_it_holds():
    table = cases(["a", "b"]).append_column("cluster", pa.array(["00000001", "00000000"]))
    assert resampling_ids(table, 1) == ["00000001", "00000000"]
