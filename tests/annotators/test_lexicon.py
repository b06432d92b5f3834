import copy

import pytest
import yaml

from harness.annotators import lexicon
from harness.annotators.lexicon import Lexicon, shipped_lexicon
from harness.errors import PluginError
from harness.report import FINDINGS, Finding


@pytest.fixture
def values():
    return copy.deepcopy([lexicon._read("findings.yaml"), lexicon._read("cues.yaml")])


def test_every_finding_but_no_finding_has_phrases(values):
    assert set(values[0]["mentions"]) == set(FINDINGS) - {Finding.NO_FINDING}


def test_a_correction_changes_the_digest(values):
    values[0]["ignore"].append("lung cancer screening")
    assert Lexicon(*values).digest != shipped_lexicon().digest


@pytest.mark.parametrize(
    "damage",
    [
        lambda findings, cues: findings["mentions"].update({"Pneumothoraxx": ["x"]}),
        lambda findings, cues: findings.pop("ignore"),
        lambda findings, cues: cues.update(severity={"huge": ["x"]}),
        lambda findings, cues: cues.update(terminate=[None]),
        lambda findings, cues: findings["described"].append("heart"),
    ],
)
def test_a_lexicon_that_cannot_be_read_is_refused(values, damage):
    damage(*values)
    with pytest.raises(PluginError, match="not as its comments say"):
        Lexicon(*values)


def test_yaml_that_is_none_is_refused(monkeypatch):
    def broken(text):
        raise yaml.YAMLError("line 3")

    monkeypatch.setattr(lexicon.yaml, "safe_load", broken)
    with pytest.raises(PluginError, match="not valid YAML: line 3"):
        lexicon._read("cues.yaml")
