import copy
from pathlib import Path

import pytest
import yaml

from harness.errors import SuiteError
from harness.monitoring.config import read_config
from production import CONFIG

EXAMPLE = Path(__file__).parents[2] / "suites" / "monitoring" / "production.yaml"


def problems(tmp_path, change):
    config = copy.deepcopy(CONFIG)
    change(config)
    path = tmp_path / "m.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    with pytest.raises(SuiteError) as error:
        read_config(path)
    return error.value.problems


def test_the_example_has_the_declared_thresholds():
    config = read_config(EXAMPLE)
    limits = {rule.id: (rule.limit, rule.action) for rule in config.rules}
    assert limits["critical-sensitivity"] == (0.95, "page")
    assert limits["latency-p99"] == (30, "scale up")
    assert limits["hallucination"] == (0.05, "pause automated reports, require co-sign")
    assert config.concept_drift.drop == 0.05
    assert config.per_period == 24


def test_false_alarms_are_shared_out_over_all_detectors_and_their_looks():
    config = read_config(EXAMPLE)
    detectors = len(config.rules) + len(config.cusum) + 4
    assert config.share * detectors == pytest.approx(config.false_alarms_per_month)
    for every in (1, 24):
        assert config.alpha(every) * 720 / every == pytest.approx(config.share)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c.update(windw_h=1), "windw_h: unknown key; did you mean window_h?"),
        (lambda c: c.pop("reference"), "reference: missing; every monitor needs it"),
        (lambda c: c["rules"][1].update(above=5), "above must be a fraction below 1; for 5 % write 0.05"),
        (lambda c: c["rules"][0].pop("above"), "latency needs exactly one limit, `above`"),
        (
            lambda c: c["rules"][2].update(below=None, above=0.5),
            "critical_sensitivity needs exactly one limit",
        ),
        (lambda c: c["rules"][2].update(value="Edema"), "value must be pooled or one of Pneumothorax"),
        (lambda c: c["rules"][0].update(actoin="x"), "rules[0].actoin: unknown key; did you mean action?"),
        (lambda c: c["rules"][1].update(id="p99"), "rules[1]: p99 stands twice; ids must differ"),
        (lambda c: c["rules"][0].update(over_h=1.5), "must be a whole number of windows of 1 h"),
        (lambda c: c.update(period_h=2.5), "period_h: must be a whole number of windows of 1 h"),
        (lambda c: c["cusum"][0].update(points=0.1), "needs exactly one of raised, times, points"),
        (lambda c: c["cusum"][0].update(finding="Mass"), "cusum[0].finding"),
        (lambda c: c.update(webhooks=[{"url": "file:///etc/passwd"}]), "webhooks[0].url"),
        (
            lambda c: c["data_drift"].update(samples=9),
            "data_drift.samples: unknown key; did you mean sample?",
        ),
    ],
)
def test_problems_name_place_key_and_remedy(tmp_path, change, told):
    found = problems(tmp_path, change)
    assert any(told in problem for problem in found), found
    assert all(problem.startswith(f"{tmp_path}/m.yaml:") for problem in found)


def test_a_file_that_is_no_mapping_is_refused(tmp_path):
    (tmp_path / "m.yaml").write_text("- 1\n")
    with pytest.raises(SuiteError, match="a monitor is a mapping"):
        read_config(tmp_path / "m.yaml")
