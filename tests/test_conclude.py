from random import Random

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.conclude import conclude
from harness.ledger import Ledger
from harness.suite import read_suite
from harness.testing import ConstantReport
from runs import run, write_suite

TABLES = ("cases", "predictions", "rows")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, phantom_root):
    folder = tmp_path_factory.mktemp("whole")
    return run(write_suite(folder), phantom_root, ConstantReport("No effusion."), folder / "run")


def divided(whole, folder, random, most):
    """The same facts, in parts of any size and in any order."""
    suite = (whole.root / "suite.yaml").read_bytes()
    with Ledger.writing(folder, whole.identity, suite) as ledger:
        for name in TABLES:
            table = whole.read(name)
            records = table.to_pylist()
            random.shuffle(records)
            while records:
                size = random.randint(1, most)
                ledger.write(name, records[:size], table.schema)
                records = records[size:]
    return ledger


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(random=st.randoms(use_true_random=False), most=st.sampled_from([60, 300]))
def test_how_the_work_was_divided_changes_nothing(whole, tmp_path_factory, random, most):
    suite = read_suite(whole.root / "suite.yaml")
    folder = tmp_path_factory.mktemp("divided")
    other = divided(whole, folder / "run", random, most)
    assert other.digest() == whole.digest()
    other.write_results(whole.results())  # for the account of eligible studies
    assert conclude(other, suite) == conclude(whole, suite)


@pytest.mark.parametrize("size", [1, 7, 500])
def test_blocks_are_the_table_some_studies_at_a_time(whole, tmp_path, size):
    other = divided(whole, tmp_path / "run", Random(3), 20)
    for name in TABLES:
        blocks = list(other.blocks(name, size=size))
        assert {block.num_rows for block in blocks[:-1]} <= {size}
        assert pa.concat_tables(blocks).to_pylist() == whole.read(name).to_pylist()
        ids = [block.column("study_id").to_pylist() for block in other.blocks(name, ["study_id"], size)]
        assert ids == [block.column("study_id").to_pylist() for block in blocks]
