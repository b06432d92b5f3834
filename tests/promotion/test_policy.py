import pytest
from release import FILES

from harness.data_files import data_path
from harness.errors import SuiteError
from harness.promotion import read_policy
from harness.report import CRITICAL

STATEMENT = "{by: Ann Lead, date: 2026-05-01, reason: One ward alone.}"
WITHOUT = f"\n  without_shadow: {STATEMENT}"


@pytest.fixture
def written(tmp_path):
    """Writes a policy beside its suites, with something changed."""

    def write(old="", new="", name="policy.yaml"):
        for file, text in FILES.items():
            (tmp_path / file).write_text(text, encoding="utf-8")
        text = FILES[name]
        assert old in text
        text = (
            text.replace(old, new, 1)
            .replace("$A", "condition: a, $NEW")
            .replace("$NEW", f"candidate: {'ab' * 32}")
        )
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / "policy.yaml"

    return write


@pytest.mark.parametrize("name", ["promotion.yaml", "promotion_phantom.yaml"])
def test_the_policies_that_come_along(name):
    policy = read_policy(data_path("suites") / name)
    assert policy.asked.name == name.removesuffix(".yaml")
    assert (policy.asked.critical_sensitivity.above, policy.asked.hallucination.below) == (0.98, 0.03)
    assert policy.asked.regulatory.lock == "required"
    assert policy.asked.waivers == ()
    assert policy.asked.regulatory.cohort == ("phantoms" if "phantom" in name else "patients")
    assert policy.latency.target.device == "NVIDIA A10G"
    rails = {(item.measure, item.value): item.margin for item in policy.asked.non_inferiority.guardrails}
    assert all(rails["critical_sensitivity", finding] <= 0.02 for finding in CRITICAL)
    decided = {
        (item.measure, item.value): item.threshold
        for item in policy.suites["regulatory"].criteria
        if item.slice is None and not item.over
    }
    assert all(decided["critical_sensitivity", finding] >= 0.98 for finding in CRITICAL)
    assert decided["hallucination_rate", policy.asked.hallucination.value] <= 0.03


def test_a_rehearsal_asks_what_the_policy_asks():
    one, two = (
        read_policy(data_path("suites") / name).asked.model_dump(exclude={"name", "title"})
        for name in ("promotion.yaml", "promotion_phantom.yaml")
    )
    for policy in (one, two):
        del policy["regulatory"]["suite"], policy["regulatory"]["cohort"]
    assert one == two


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("lock: required", "lock: not required", "regulatory.lock: must be required, or the digest"),
        (
            "lock: required",
            f"lock: required, without_lock: {STATEMENT}",
            "regulatory: without_lock says that there is no lock; leave out lock",
        ),
        ("lock: required", "cohort: both", "regulatory.cohort: "),
        (
            "value: Fracture, margin: 0.05",
            "value: Fracture, margin: 0.06",
            "guardrails[2].margin: must be 0.05 or less; it is 0.06",
        ),
        (
            "{measure: failure_rate, margin: 0.02}",
            "{measure: failure_rate, margin: 0.02, confidence: 0.9}",
            "guardrails[6].confidence: must be 0.95 or more; it is 0.9",
        ),
        (
            "    - {measure: critical_sensitivity, value: Lung Lesion, margin: 0.05}\n",
            "",
            "guardrails: every policy guards against harm; there is none on critical_sensitivity.Lung Lesion",
        ),
        ("waivers: []", "trust: authority.pem\nwaivers: []", "trust: TMP/authority.pem: no such file"),
        (WITHOUT, " {from_staging: true}", "production: needs either shadow, or without_shadow"),
        (WITHOUT, " {shadow: none.yaml}", "production.shadow: TMP/none.yaml: no such file"),
        (WITHOUT, " {shadow: fairness.yaml}", "fairness.yaml:1:1: planned_positives: missing"),
        (
            f"production:\n  without_shadow: {STATEMENT}\n",
            "",
            ":1:1: production: missing; every policy needs it",
        ),
        ("waivers: []", "waivrs: []", ":21:1: waivrs: unknown key; did you mean waivers?"),
        ("parity: {suite: parity.yaml, run: parity}\n", "", ":1:1: parity: missing; every policy needs it"),
        (
            "{above: 0.98}",
            "{above: 0.9}",
            "critical_sensitivity.above: input should be greater than or equal",
        ),
        ("{above: 0.98}", "{above: 98}", "98 is not a fraction between 0 and 1; for 98 % write 0.98"),
        ("{below: 0.03}", "{below: 0.05}", ":5:17: hallucination.below: input should be less than or equal"),
        (
            "{above: 0.98}",
            "{above: 0.98, confidence: 0.9}",
            "critical_sensitivity.confidence: input should be",
        ),
        (
            "lock: required",
            "lock: maybe",
            "regulatory.lock: must be required, or the digest of a lock",
        ),
        (
            "suite: regulatory.yaml",
            "suite: regulator.yaml",
            "regulatory.suite: TMP/regulator.yaml: no such file",
        ),
        ("suite: fairness.yaml", "suite: parity.yaml", "fairness.suite: parity has no criterion over groups"),
        ("{suite: fairness.yaml, run: fairness}", "{criteria: [gaps]}", "gaps is no criterion over groups"),
        ("{suite: fairness.yaml, run: fairness}", "{run: x}", "fairness: needs either suite, or criteria"),
        (
            "{suite: fairness.yaml, run: fairness}",
            "{criteria: [a], run: x}",
            "fairness: run and cohort go with suite",
        ),
        (
            "suite: parity.yaml",
            "suite: fairness.yaml",
            "parity.suite: fairness has no comparison.parity",
        ),
        ("{suite: parity.yaml, run: parity}", "{run: x}", "parity: needs either suite, or as_judged"),
        (
            "{suite: parity.yaml, run: parity}",
            "{run: x, as_judged: {by: A, date: 2026-01-01, reason: b}}",
            "parity: run and cohort go with suite, not with as_judged",
        ),
        (
            "suite: latency.yaml",
            "suite: fairness.yaml",
            "is no latency suite",
        ),
        (
            "measure: failure_rate",
            "measure: failure",
            "non_inferiority.guardrails[6].measure: not under measures; did you mean failure_rate?",
        ),
        ("value: pooled", "value: poled", "has no value 'poled'; did you mean pooled?"),
        (
            "{measure: failure_rate, margin: 0.02}",
            "{measure: critical_sensitivity, value: pooled, margin: 0.01}",
            "guardrails[6]: critical_sensitivity.pooled stands twice; keep one",
        ),
        (
            "  run: production\n",
            "  run: production\n  first_release: {by: A, date: 2026-01-01, reason: b}\n",
            "non_inferiority: first_release says that no model is in production",
        ),
        ("  run: production\n", "  candidate: abc\n", "non_inferiority.candidate: string should match"),
        (
            "waivers: []",
            "waivers:\n  - {$A, by: ' ', reason: b, granted: 2026-01-01, expires: 2026-02-01}",
            ":22:97: waivers[0].by: must say something",
        ),
        (
            "waivers: []",
            "waivers: [{condition: a, by: A, reason: b, granted: 2026-01-01, expires: 2026-02-01}]",
            "waivers[0].candidate: missing",
        ),
        (
            "waivers: []",
            "waivers: [{$A, by: A, reason: b, granted: 2026-01-01, expires: 2026-07-01}]",
            "waivers[0]: is in force for more than 180 days; grant it anew when it expires",
        ),
        (
            "waivers: []",
            "waivers: [{$A, by: A, reason: b, granted: 2026-01-01}]",
            "waivers[0].expires: missing",
        ),
        (
            "waivers: []",
            "waivers: [{$A, by: A, reason: b, granted: 2026-01-01, expires: never}]",
            "waivers[0].expires: must be a day, such as 2026-12-31, without quotes or time (it is 'never')",
        ),
        (
            "waivers: []",
            "waivers: [{$A, by: A, reason: b, granted: 2026-03-01, expires: 2026-02-01}]",
            "waivers[0]: expires on 2026-02-01, before it is granted on 2026-03-01",
        ),
    ],
)
def test_bad_input_has_its_place_and_remedy(written, tmp_path, old, new, told):
    with pytest.raises(SuiteError) as caught:
        read_policy(written(old, new))
    assert told.replace("TMP", str(tmp_path)) in str(caught.value)
    assert "policy.yaml:" in str(caught.value) or "fairness.yaml:" in str(caught.value)


def test_no_mapping_and_no_file(tmp_path):
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(SuiteError, match=r"a policy is a mapping; begin with suites/promotion\.yaml"):
        read_policy(tmp_path / "list.yaml")
    with pytest.raises(SuiteError, match="no such file"):
        read_policy(tmp_path / "none.yaml")


def test_without_guardrails_there_must_be_a_statement(written):
    bare = FILES["policy.yaml"].partition("  guardrails:")[2].rpartition("waivers")[0]
    with pytest.raises(SuiteError, match="non_inferiority: needs guardrails, or first_release"):
        read_policy(written("  guardrails:" + bare, ""))


def test_the_digest_follows_what_is_asked_suites_included(written):
    plain = read_policy(written()).digest
    assert read_policy(written("name: promotion", "# a comment\nname: promotion")).digest == plain
    for change in (("above: 0.98}", "above: 0.99}"), ("margin: 0.02", "margin: 0.01")):
        assert read_policy(written(*change)).digest != plain
    assert read_policy(written("below: 0.02}", "below: 0.01}", "regulatory.yaml")).digest != plain
    assert read_policy(written("below_s: 15", "below_s: 14", "latency.yaml")).digest != plain


def test_lines_lead_to_what_asks(written):
    waivers = "".join(
        f"\n  - {{condition: {name}, $NEW, by: A, reason: b, granted: 2026-01-01, expires: 2026-02-01}}"
        for name in "ab"
    )
    policy = read_policy(written("waivers: []", f"waivers:{waivers}"))
    text = policy.path.read_text().splitlines()
    for section, line in policy.lines.items():
        key = section if section in text[line - 1] else "condition:"
        assert key in text[line - 1]
    assert (policy.lines["waivers[0]"], policy.lines["waivers[1]"]) == (22, 23)
