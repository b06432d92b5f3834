import pytest

from harness.candidates import open_candidate
from harness.candidates.predictions import PredictionsCandidate
from harness.candidates.template import TemplateCandidate
from harness.errors import CandidateError, PluginError


def test_locators(tmp_path):
    assert isinstance(open_candidate("template"), TemplateCandidate)
    candidate = open_candidate(f"predictions:{tmp_path / 'a.csv'}?extra=allow")
    assert isinstance(candidate, PredictionsCandidate)
    assert candidate.path == tmp_path / "a.csv"
    assert candidate.extra == "allow"


@pytest.mark.parametrize(
    ("locator", "error", "told"),
    [
        ("templete", PluginError, "did you mean template"),
        ("predictions", CandidateError, "needs path; write predictions:PATH"),
        ("predictions:a.csv?extras=allow", CandidateError, "takes no extras; it takes path, extra"),
        ("predictions:a.csv?extra=maybe", CandidateError, "extra must be refuse or allow"),
    ],
)
def test_bad_locators_are_told(locator, error, told):
    with pytest.raises(error, match=told):
        open_candidate(locator)
