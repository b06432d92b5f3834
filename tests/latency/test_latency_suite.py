import pytest

from harness.cli import main
from harness.errors import SuiteError
from harness.latency.decide import times_needed
from harness.latency.plan import plan_latency, wants
from harness.latency.suite import is_latency_suite, read_latency_suite
from harness.suite import read_suite
from latency_bench import suite_of
from runs import SUITES

SHIPPED = [path for path in sorted(SUITES.glob("*.yaml")) if is_latency_suite(path)]


def write(folder, text):
    path = folder / "suite.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_suites_are_well_formed(path):
    suite = read_latency_suite(path)
    assert suite.name == path.stem
    assert suite.target.device == "NVIDIA A10G"


def test_the_a10g_suite_asks_what_the_protocol_does():
    suite = read_latency_suite(SUITES / "latency-a10g.yaml")
    limits = {(item.value, item.at): item.threshold for item in suite.criteria}
    for load in ("closed", 200):
        assert [limits[value, load] for value in ("p50", "p99", "maximum")] == [5, 15, 30]
    assert limits["throughput", "closed"] == 200
    assert suite.cost.gpu_usd_per_hour == 3.20
    assert {need.status.value for need in plan_latency(suite, 2000)} == {"PASS"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"target": {"devise": "NVIDIA A10G"}}, "devise: unknown key; did you mean device?"),
        ({"target": {"device": "X", "driver": 535}}, "driver"),
        ({"closed": {"studies": 0}}, "closed.studies"),
        ({"open": {"steps": [{"studies": 3}]}}, "exactly one of rate_per_hour, load"),
        ({"open": {"steps": [{"rate_per_hour": 9, "studies": 3}] * 2}}, "9 studies an hour stands twice"),
        ({"criteria": [{"id": "a", "value": "p99"}]}, "below_s"),
        ({"criteria": [{"id": "a", "value": "throughput", "below_s": 3}]}, "at_least_per_hour"),
        ({"criteria": [{"id": "a", "value": "p99", "below_s": 3, "at": 200}]}, "no step has this rate"),
        ({"criteria": [{"id": "a", "value": "p99", "below_s": 3}] * 2}, "a stands twice"),
        ({"criteria": [{"id": "a", "value": "maximum", "below_s": 3, "share": 0.9}]}, "share"),
        ({"confidence": 95}, "confidence"),
        ({"warm_up": 0}, "warm_up"),
    ],
)  # fmt: skip
def test_bad_suites_are_named_with_their_place(tmp_path, change, told):
    path = write(tmp_path, suite_of(**change))
    with pytest.raises(SuiteError) as caught:
        read_latency_suite(path)
    assert told in str(caught.value)
    assert f"{path}:" in str(caught.value)


def test_each_kind_of_suite_is_sent_to_its_own_verb(tmp_path):
    with pytest.raises(SuiteError, match="harness latency"):
        read_suite(SUITES / "latency-a10g.yaml")
    with pytest.raises(SuiteError, match="harness run"):
        read_latency_suite(SUITES / "ci.yaml")


@pytest.mark.parametrize(("q", "needed"), [(0.99, 299), (0.95, 59), (0.9, 29), (0.5, 5)])
def test_times_needed(q, needed):
    assert times_needed(q, 0.95) == needed


def test_the_plan_says_beforehand_what_so_many_studies_cannot_decide(tmp_path, capsys, phantom_root):
    steps = [{"rate_per_hour": 200, "studies": 600}]
    criteria = [
        {"id": "p99", "value": "p99", "below_s": 15},
        {"id": "p99-200", "value": "p99", "at": 200, "below_s": 15},
        {"id": "throughput", "value": "throughput", "at_least_per_hour": 200},
    ]
    path = write(tmp_path, suite_of(400, steps, criteria, cohort={"split": "test"}))
    suite = read_latency_suite(path)
    few = {need.id: need for need in plan_latency(suite, 301)}
    assert few["p99"].status.value == few["p99-200"].status.value == "NOT EVALUATED"
    assert "299 times of different studies are needed, and there will be 298" in few["p99"].reason
    repeated = {need.id: need for need in plan_latency(suite, 402)}
    assert repeated["throughput"].status.value == "NOT EVALUATED"
    assert "1,003 in the cohort" in repeated["throughput"].reason
    enough = {need.id: need.status.value for need in plan_latency(suite, 403)}
    assert enough == {"p99": "PASS", "p99-200": "NOT EVALUATED", "throughput": "PASS"}
    assert {need.status.value for need in plan_latency(suite, 1003)} == {"PASS"}
    assert any("3.0 h" in line for line in wants(suite))
    assert main(["plan", str(path), "--cohort", f"phantom:{phantom_root}"]) == 3
    assert "no" in capsys.readouterr().out
    assert main(["check", str(path)]) == 0
    assert "any other device nothing is decided" in capsys.readouterr().out
