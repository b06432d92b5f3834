import json

import pytest

from harness.digests import digest_value
from harness.errors import LedgerError
from harness.promotion_record import read_promotion


def test_a_decision_is_read_if_it_is_whole(tmp_path):
    path, record = tmp_path / "promotion.json", {"status": "FAIL"}
    path.write_text(json.dumps({**record, "digest": digest_value(record)}))
    assert read_promotion(path)["status"] == "FAIL"
    path.write_text(path.read_text().replace("FAIL", "PASS"))
    with pytest.raises(LedgerError, match="was changed after it was written"):
        read_promotion(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"digest": 1'])
def test_what_is_no_decision(tmp_path, text):
    path = tmp_path / "promotion.json"
    path.write_text(text)
    with pytest.raises(LedgerError, match="not a readable decision"):
        read_promotion(path)
