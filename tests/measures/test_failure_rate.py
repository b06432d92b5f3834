from harness.measures.failure_rate import FailureRate
from report_texts import pairs, value


def test_it_counts_studies_without_a_usable_report():
    some = pairs(["x", "", "x", "x"], ["x"] * 4, failed=[False, True, False, True])
    assert FailureRate().rows(some).tolist() == [[0, 1], [1, 1], [0, 1], [1, 1]]
    assert value(FailureRate(), some).tolist() == [0.5]
    assert FailureRate().signature() == "failure_rate|v1"
