import numpy as np
import pytest

from harness.measures.report_length import ReportLength
from report_texts import pairs, value


def test_words_are_counted_as_they_stand():
    some = pairs(["no effusion", "", "a\r\nb\tc d"], ["no pleural effusion.", "clear", "x"])
    assert ReportLength().rows(some).tolist() == [[2, 3, 1], [0, 1, 1], [4, 1, 1]]
    np.testing.assert_allclose(value(ReportLength(), some), [2, 5 / 3, 6 / 5])


def test_without_reference_words_there_is_no_ratio():
    found = value(ReportLength(), pairs(["a b"], [""]))
    assert found[:2].tolist() == [2, 0]
    assert np.isnan(found[2])


def test_options_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="section"):
        ReportLength("x")
