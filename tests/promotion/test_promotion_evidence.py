"""Every piece is checked and derived again: each broken alone must block the promotion."""

import json
import shutil
from dataclasses import replace

import pytest
from release import STUDIES, digest_of

from harness.chain import Chain
from harness.deployment.numbers import Numbers
from harness.digests import digest_file
from harness.errors import LedgerError
from harness.ledger import Ledger
from harness.promotion import gather, read_policy
from harness.promotion.evidence import Unusable
from harness.status import Status

WITHOUT_LOCK = "without_lock: {by: Ann Lead, date: 2026-05-01, reason: A trial.}"
FAIL, OPEN = Status.FAIL, Status.NOT_EVALUATED


def words(promotion):
    return {item.id: item.word for item in promotion.conditions if item.word != "PASS"}


def told(promotion, name):
    return next(item.reason for item in promotion.conditions if item.id == name)


def test_a_release_in_which_everything_holds_passes(whole_release, monkeypatch):
    promotion = whole_release.decide(monkeypatch)
    assert promotion.status is Status.PASS
    assert words(promotion) == {}
    sections = {item.section for item in promotion.conditions}
    assert sections == {
        "", "regulatory", "critical_sensitivity", "hallucination", "latency", "fairness", "parity",
        "non_inferiority",
    }  # fmt: skip
    assert promotion.candidate == digest_of("new")
    assert [cited.role for cited in promotion.evidence] == [
        "run", "production", "parity, checkpoint", "parity, package", "fairness", "latency",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        (
            {"missed": [("Fracture", 8)]},
            {
                "regulatory.sensitivity-fracture": "FAIL",
                "critical_sensitivity.Fracture": "FAIL",
                "non_inferiority.critical_sensitivity.Fracture": "FAIL",
                "non_inferiority.critical_sensitivity.pooled": "PASS",
            },
        ),
        (
            {"invented": 8},
            {
                "regulatory.hallucination": "FAIL",
                "hallucination": "FAIL",
                "non_inferiority.hallucination_rate.per-claim": "FAIL",
            },
        ),
        ({"failed": 8}, {"regulatory.failures": "FAIL", "non_inferiority.failure_rate.value": "FAIL"}),
    ],
)
def test_a_criterion_that_fails(release, monkeypatch, faults, expected):
    release.remake("run", "regulatory.yaml", "new", lock=release.lock, **faults)
    promotion = release.decide(monkeypatch, "non_inferiority")
    assert promotion.status is FAIL
    assert {**words(promotion), **{k: "PASS" for k, v in expected.items() if v == "PASS"}} == expected


@pytest.mark.parametrize(("options", "section"), [
    ({"full": "other", "exported": "other package"}, "parity"),
    ({"exported": "new", "full": "other"}, None),
])  # fmt: skip
def test_parity_must_be_of_the_candidate_or_of_the_package_that_was_judged(
    release, monkeypatch, options, section
):
    release.parity(**options)
    release.latency(candidate=options["exported"])
    promotion = release.decide(monkeypatch, "parity", "latency")
    if section is None:
        assert promotion.status is Status.PASS
    else:
        assert promotion.status is OPEN
        assert words(promotion) == {"parity": "NOT EVALUATED", "latency": "NOT EVALUATED"}
        assert "it is of another candidate" in told(promotion, "parity")


def test_the_package_is_worse_than_its_checkpoint(release, monkeypatch):
    release.parity(failed=10)
    promotion = release.decide(monkeypatch, "parity")
    assert promotion.status is FAIL
    assert words(promotion) == {"parity.failure_rate.value": "FAIL"}


def test_numbers_inside_the_package_are_off(release, monkeypatch):
    release.parity(
        numbers=Numbers(
            studies=STUDIES,
            probability_greatest=0.5,
            tokens=4000,
            token_agreement=1.0,
            token_bound=0.99,
            detection_agreement=0.5,
            detection_bound=0.4,
        )
    )
    assert words(release.decide(monkeypatch, "parity")) == {
        "parity.numbers.finding-probability": "FAIL",
        "parity.numbers.detections": "FAIL",
    }


def test_a_changed_parity_file_is_no_evidence(release, monkeypatch):
    path = release.root / "parity" / "parity.json"
    path.write_text(path.read_text().replace('"probability_greatest": 0.0', '"probability_greatest": 0.001'))
    promotion = release.decide(monkeypatch, "parity")
    assert promotion.status is OPEN
    assert "it was changed" in told(promotion, "parity")
    path.unlink()
    assert "is missing" in told(release.decide(monkeypatch, "parity"), "parity")


def forge(folder):
    """Betters a number of results.json and enters the new digest in the log, as one with the code could."""
    path = folder / "results.json"
    results = json.loads(path.read_text())
    results["verdict"]["decisions"][0]["bound"] = 0.999
    path.write_text(json.dumps(results))
    Chain(folder / "log.jsonl").append("results", sha256=digest_file(path), verdict="PASS")


@pytest.mark.parametrize(
    ("folder", "section", "how"),
    [
        *(("run", "evidence.run", how) for how in ("edited", "forged", "cut", "bent")),
        ("production", "non_inferiority", "forged"),
        ("fairness", "fairness", "forged"),
        ("parity/full", "parity", "forged"),
        ("parity/exported", "parity", "cut"),
    ],
)
def test_a_changed_result_file_is_no_evidence(release, monkeypatch, folder, section, how):
    run = release.root / folder
    if how == "edited":
        (run / "results.json").write_text((run / "results.json").read_text().replace("PASS", "PASS "))
    elif how == "forged":
        forge(run)
    elif how == "cut":
        lines = (run / "log.jsonl").read_bytes().splitlines(keepends=True)
        (run / "log.jsonl").write_bytes(b"".join(lines[:-1]))
    else:
        (run / "log.head.json").write_text("[]")
    promotion = release.decide(monkeypatch, section.removeprefix("evidence.run") or "latency")
    assert promotion.status is OPEN
    assert words(promotion)[section] == "NOT EVALUATED"
    assert promotion.status.exit_code == 3


@pytest.mark.parametrize("section", ["latency", "fairness", "parity", "non_inferiority"])
def test_missing_evidence_is_not_evaluated_and_its_option_named(release, monkeypatch, section):
    name = "production" if section == "non_inferiority" else section
    release.change(f"run: {name}" if name == "production" else f", run: {name}", "")
    promotion = release.decide(monkeypatch, section)
    assert promotion.status is OPEN
    assert promotion.status.exit_code == 3
    assert words(promotion)[section] == "NOT EVALUATED"
    assert f"--{name}" in told(promotion, section)


@pytest.mark.parametrize("name", ["production", "fairness", "parity"])
def test_evidence_that_is_not_where_the_policy_says(release, monkeypatch, name):
    shutil.rmtree(release.root / name)
    section = "non_inferiority" if name == "production" else name
    promotion = release.decide(monkeypatch, section)
    assert promotion.status is OPEN
    assert "no run here" in told(promotion, section)


def test_an_option_replaces_what_the_policy_names(release, monkeypatch):
    shutil.move(release.root / "fairness", release.root / "elsewhere")
    promotion = release.decide(monkeypatch, "fairness", fairness=release.root / "elsewhere")
    assert promotion.status is Status.PASS


def test_fairness_of_another_candidate_suite_or_cohort(release, monkeypatch):
    for candidate, suite, kind, why in (
        ("other", "fairness.yaml", "manifest", "of another candidate"),
        ("new", "regulatory.yaml", "manifest", "was asked suite regulatory"),
        ("new", "fairness.yaml", "phantom", "on studies of phantom"),
    ):
        release.remake("fairness", suite, candidate, kind=kind)
        promotion = release.decide(monkeypatch, "fairness")
        assert promotion.status is OPEN
        assert why in told(promotion, "fairness")


def test_a_group_that_fails(release, monkeypatch):
    release.remake("fairness", "fairness.yaml", "new", failed=40)
    assert words(release.decide(monkeypatch, "fairness")) == {"fairness.failures": "FAIL"}


def test_fairness_by_criteria_of_the_regulatory_suite(release, monkeypatch):
    over = "  - {id: groups, measure: failure_rate, below: 0.1, over: [sex], statistic: worst, "
    over += "minimum_trials: 30}\n"
    release.write(
        "regulatory.yaml", (release.root / "regulatory.yaml").read_text() + over + "slices: [sex]\n"
    )
    release.change("{suite: fairness.yaml, run: fairness}", "{criteria: [groups]}")
    release.change("lock: required", WITHOUT_LOCK)
    release.remake("run", "regulatory.yaml", "new")
    release.remake("production", "regulatory.yaml", "old")
    promotion = release.decide(monkeypatch)
    assert promotion.status is Status.PASS
    assert "fairness.groups" in {item.id for item in promotion.conditions}


@pytest.mark.parametrize(
    ("latency", "status", "why"),
    [
        ({"status": FAIL}, FAIL, "p99 is FAIL"),
        ({"candidate": "new"}, OPEN, "another candidate than the exported package"),
        (
            {"mismatches": ("name NVIDIA T4",)},
            OPEN,
            "of NVIDIA T4, not of the target device NVIDIA A10G (name",
        ),
    ],
)
def test_latency(release, monkeypatch, latency, status, why):
    release.latency(**latency)
    promotion = release.decide(monkeypatch, "latency")
    assert promotion.status is status
    assert why in next(item.reason for item in promotion.conditions if item.section == "latency")


def test_latency_by_another_suite(release, monkeypatch):
    release.change("below_s: 15", "below_s: 20", "latency.yaml")
    assert "by another suite" in told(release.decide(monkeypatch, "latency"), "latency")


def test_the_run_must_be_of_the_policys_suite(release, monkeypatch):
    release.change("below: 0.02}", "below: 0.03}", "regulatory.yaml")
    promotion = release.decide(monkeypatch, "non_inferiority")
    assert promotion.status is OPEN
    assert "another text of it" in told(promotion, "protocol.suite")


def test_a_suite_that_asks_for_less_than_the_policy(release, monkeypatch):
    release.change("value: Fracture, above: 0.98", "value: Fracture, above: 0.95", "regulatory.yaml")
    release.change("lock: required", WITHOUT_LOCK)
    release.remake("run", "regulatory.yaml", "new")
    release.remake("production", "regulatory.yaml", "old")
    promotion = release.decide(monkeypatch, "non_inferiority")
    assert words(promotion) == {"critical_sensitivity.Fracture": "NOT EVALUATED", "protocol.lock": "STATED"}
    assert "no criterion of suite regulatory decides" in told(promotion, "critical_sensitivity.Fracture")


def test_the_lock(release, monkeypatch):
    digest = json.loads(release.lock.read_text())["digest"]
    release.change("lock: required", f"lock: '{digest}'")
    assert release.decide(monkeypatch, "non_inferiority").status is Status.PASS
    release.change(digest, "0" * 64)
    promotion = release.decide(monkeypatch, "non_inferiority")
    assert words(promotion) == {"protocol.lock": "NOT EVALUATED"}
    release.change("0" * 64, digest)
    release.remake("run", "regulatory.yaml", "new")
    assert "run with --lock" in told(release.decide(monkeypatch, "non_inferiority"), "protocol.lock")


def test_more_looks_than_planned(release, monkeypatch):
    release.remake("scratch", "regulatory.yaml", "earlier", lock=release.lock)
    release.remake("run", "regulatory.yaml", "third", lock=release.lock)
    promotion = release.decide(monkeypatch, "non_inferiority")
    assert promotion.status is FAIL
    assert words(promotion)["protocol.lock"] == "FAIL"
    assert "This is look 3" in told(promotion, "protocol.lock")


def test_production_must_be_another_candidate_and_the_one_that_is_in_use(release, monkeypatch):
    promotion = release.decide(monkeypatch, "non_inferiority", production=release.root / "run")
    assert "one and the same candidate" in told(promotion, "non_inferiority")
    assert promotion.status is OPEN
    assert (
        release.decide(monkeypatch, "non_inferiority", in_production=digest_of("old")).status is Status.PASS
    )
    promotion = release.decide(monkeypatch, "non_inferiority", in_production=digest_of("older"))
    assert "in production is" in told(promotion, "non_inferiority")
    release.change("  run: production", f"  run: production\n  candidate: '{digest_of('older')}'")
    assert release.decide(monkeypatch, "non_inferiority").status is OPEN


def test_production_on_other_studies(release, monkeypatch):
    release.remake("production", "regulatory.yaml", "old", cohort=digest_of("other studies"))
    promotion = release.decide(monkeypatch, "non_inferiority")
    assert words(promotion) == {"non_inferiority": "NOT EVALUATED"}
    assert "not the same studies" in told(promotion, "non_inferiority")


FIRST = "  first_release: {by: Ann Lead, date: 2026-05-01, reason: Nothing was in use before.}"


def test_a_guardrail_on_what_the_run_did_not_measure(release, monkeypatch):
    release.change(
        "measures: [critical_sensitivity, hallucination_rate, failure_rate]",
        "measures: [critical_sensitivity, hallucination_rate, failure_rate, findings_f1]",
        "regulatory.yaml",
    )
    release.change(
        "{measure: critical_sensitivity, value: pooled,", "{measure: findings_f1, value: macro-14,"
    )
    promotion = release.decide(monkeypatch, "non_inferiority")
    assert promotion.status is OPEN
    assert "its suite has no findings_f1.macro-14" in told(promotion, "non_inferiority")


def test_the_first_release_is_a_statement_and_shown_as_one(release, monkeypatch):
    release.change("  run: production", FIRST)
    promotion = release.decide(monkeypatch, "non_inferiority")
    assert promotion.status is Status.PASS
    assert words(promotion) == {"non_inferiority": "STATED"}
    assert "as Ann Lead stated on 2026-05-01: Nothing was" in told(promotion, "non_inferiority")
    contradicted = release.decide(monkeypatch, "non_inferiority", in_production=digest_of("old"))
    assert words(contradicted) == {"non_inferiority": "NOT EVALUATED"}
    contradicted = release.decide(monkeypatch, "non_inferiority", production=release.root / "production")
    assert words(contradicted) == {"non_inferiority": "NOT EVALUATED"}


def test_what_is_deployed_as_it_was_judged_needs_no_parity(release, monkeypatch):
    statement = "{as_judged: {by: Ann Lead, date: 2026-05-01, reason: The service loads the checkpoint.}}"
    release.change("{suite: parity.yaml, run: parity}", statement)
    release.latency(candidate="new")
    promotion = release.decide(monkeypatch, "parity", "latency")
    assert promotion.status is Status.PASS
    assert words(promotion) == {"parity": "STATED"}
    release.latency(candidate="package")
    assert release.decide(monkeypatch, "parity", "latency").status is OPEN
    release.latency(candidate="new")
    assert words(release.decide(monkeypatch, "parity", "latency", parity=release.root / "parity")) == {
        "parity": "NOT EVALUATED"
    }


def test_a_packet_that_does_not_hold(release, monkeypatch):
    promotion = release.decide(monkeypatch, "latency", packet=release.root / "nowhere")
    assert promotion.status is OPEN
    assert words(promotion) == {"evidence.packet": "NOT EVALUATED"}


def test_no_run_is_bad_usage(whole_release, tmp_path):
    with pytest.raises(LedgerError, match="no run here") as caught:
        gather(read_policy(whole_release.root / "policy.yaml"), tmp_path)
    assert caught.value.exit_code == 2


def test_evidence_bent_out_of_shape_is_a_problem_and_not_a_traceback(release, monkeypatch):
    path = release.root / "fairness" / "results.json"
    path.write_text('["Mr Smith has a nodule"]')
    Chain(path.with_name("log.jsonl")).append("results", sha256=digest_file(path), verdict="PASS")
    _, evidence = release.gather(monkeypatch, ["fairness"])
    assert isinstance(evidence.fairness, Unusable)
    assert evidence.fairness.told.endswith("the evidence is damaged (TypeError)")


def test_a_packet_is_verified_against_the_run(whole_release, finished_run, sealed, tmp_path):
    policy = read_policy(whole_release.root / "policy.yaml")
    policy = replace(policy, asked=policy.asked.model_copy(update={"packet": str(sealed)}))
    found = gather(policy, finished_run)
    assert found.packet == ()
    changed = shutil.copytree(sealed, tmp_path / "packet")
    (changed / "evidence" / "results.json").write_text("{}")
    assert gather(policy, finished_run, packet=changed).packet


def test_phantoms_promote_nothing(release, monkeypatch):
    release.remake("run", "regulatory.yaml", "new", lock=release.lock, kind="phantom")
    promotion = release.decide(monkeypatch, "non_inferiority")
    assert words(promotion)["protocol.cohort"] == "NOT EVALUATED"
    assert told(promotion, "protocol.cohort") == (
        "it was judged on phantom studies; the policy asks for those of patients"
    )
    release.change("lock: required", "lock: required, cohort: phantoms")
    found = told(release.decide(monkeypatch, "non_inferiority"), "protocol.cohort")
    assert found == "generated phantoms: a rehearsal, which promotes nothing"


def test_a_production_model_without_reports_is_no_yardstick(release, monkeypatch):
    release.remake("production", "regulatory.yaml", "old", failed=13)
    promotion = release.decide(monkeypatch, "non_inferiority")
    assert words(promotion) == {"non_inferiority": "NOT EVALUATED"}
    assert "gave no report for 13 of 240 studies" in told(promotion, "non_inferiority")


def test_a_version_in_production_that_nobody_knows_is_not_none(release, monkeypatch):
    promotion = release.decide(monkeypatch, "non_inferiority", in_production="")
    assert words(promotion) == {"non_inferiority": "NOT EVALUATED"}
    assert "was not put there by harness promote" in told(promotion, "non_inferiority")
    release.change("  run: production", FIRST)
    promotion = release.decide(monkeypatch, "non_inferiority", in_production="")
    assert words(promotion) == {"non_inferiority": "NOT EVALUATED"}
    assert "a version that the harness did not register" in told(promotion, "non_inferiority")


def test_fairness_on_studies_of_its_own_choice(release, monkeypatch):
    release.remake("fairness", "fairness.yaml", "new", first=40)
    promotion = release.decide(monkeypatch, "fairness")
    assert words(promotion) == {"fairness": "NOT EVALUATED"}
    assert "40 of the 240 that were judged are not among its 240" in told(promotion, "fairness")
    release.change("fairness.yaml, run: fairness", f"fairness.yaml, run: fairness, cohort: '{'0' * 64}'")
    assert "not the policy's 000000000000" in told(release.decide(monkeypatch, "fairness"), "fairness")
    release.change("0" * 64, digest_of("cohort"))
    assert release.decide(monkeypatch, "fairness").status is Status.PASS


def test_parity_on_studies_of_its_own_choice(release, monkeypatch):
    for name, candidate in (("full", "new"), ("exported", "package")):
        release.remake(f"parity/{name}", "parity.yaml", candidate, first=40)
    Ledger(release.root / "parity" / "exported").log.append(
        "parity", sha256=digest_file(release.root / "parity" / "parity.json")
    )
    promotion = release.decide(monkeypatch, "parity")
    assert words(promotion) == {"parity": "NOT EVALUATED"}
    assert "it is on other studies" in told(promotion, "parity")


def test_trust_asks_for_a_packet(release, monkeypatch):
    (release.root / "authority.pem").write_text("of somebody")
    release.change("waivers: []", "trust: authority.pem\nwaivers: []")
    promotion = release.decide(monkeypatch, "latency")
    assert words(promotion) == {"evidence.packet": "NOT EVALUATED"}
    assert "signed under authority.pem" in told(promotion, "evidence.packet")
