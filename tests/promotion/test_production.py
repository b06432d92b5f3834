"""What production asks besides: through staging, and in the shadow of what is replaced."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import yaml
from release import TODAY, digest_of

from harness.chain import Chain
from harness.promotion import decide, read_policy
from harness.promotion.production import InUse, add_production
from harness.staging.shadow import Shadow
from harness.status import Status
from staged import SHADOW, deployment

STAGED = SimpleNamespace(version="2", candidate=digest_of("new"))
OLD = SimpleNamespace(version="1", candidate=digest_of("old"))
TERMS = SHADOW | {"planned_positives": 60, "hours": 4}
WITHOUT = "without_shadow: {by: Ann Lead, date: 2026-05-01, reason: One ward alone.}"


def declared(**changes):
    """Of the release's candidate beside the one in production."""
    models = {
        "production": {"version": "3", "candidate": digest_of("old")},
        "shadow": {"version": "4", "candidate": digest_of("new")},
    }
    return TERMS | models | changes


@pytest.fixture
def stand(tmp_path):
    """A shadow deployment that was carried out; its folder."""

    def stand(name="shadow", records=None, **changes):
        config, stream = tmp_path / f"{name}.yaml", tmp_path / f"{name}.jsonl"
        config.write_text(yaml.safe_dump(declared(**changes)))
        lines = deployment(200) if records is None else records
        stream.write_text("".join(json.dumps(line) + "\n" for line in lines))
        with Shadow.opened(config, stream, tmp_path / name, tmp_path / f"{name}-looks.jsonl") as shadow:
            shadow.advance()
        return tmp_path / name

    return stand


@pytest.fixture
def ask(release, whole):
    """Decides for production, with a shadow deployment asked for on the terms `TERMS`."""
    (release.root / "beside.yaml").write_text(yaml.safe_dump(TERMS | {"name": "another"}))
    release.change(WITHOUT, "shadow: beside.yaml")

    def ask(shadow=None, staged=STAGED, in_production=OLD, **changes):
        policy = read_policy(release.root / "policy.yaml")
        evidence = replace(whole[1], **changes)
        decided = decide(policy, evidence, TODAY)
        return add_production(decided, policy, InUse(staged, in_production), evidence, shadow)

    return ask


def last(promotion):
    assert promotion.conditions[-1].id == "production.shadow"
    return promotion.conditions[-1]


def test_a_model_that_stood_beside_production_and_was_not_worse_passes(ask, stand):
    folder = stand()
    found = ask(folder)
    assert (found.status, last(found).status, last(found).word) == (Status.PASS, Status.PASS, "PASS")
    cited = found.evidence[-1]
    assert (cited.role, cited.candidate, cited.folder) == ("shadow", digest_of("new"), str(folder))
    assert cited.ledger == list(Chain(folder / "log.jsonl").entries())[-1]["digest"]
    assert "shadow" not in {item.role for item in ask().evidence}


def test_one_that_was_worse_fails_and_no_waiver_can_lift_it(ask, stand):
    found = ask(stand(records=deployment(200, missed=4)))
    assert (found.status, last(found).status) == (Status.FAIL, Status.FAIL)
    assert last(found).fixed


def test_too_little_is_not_evaluated(ask, stand):
    found = ask(stand(records=deployment(3)))
    assert (found.status, last(found).status) == (Status.NOT_EVALUATED, Status.NOT_EVALUATED)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"shadow": {"version": "4", "candidate": digest_of("older")}}, "its new model was"),
        ({"production": {"version": "3", "candidate": digest_of("older")}}, "its model in production was"),
        ({"shadow": {"version": "4"}}, "does not say which candidate the new model was"),
        ({"production": {"version": "3"}}, "does not say which candidate the model in production was"),
        ({"hours": 3.9}, "on other terms than the policy's beside.yaml"),
        ({"harm": {"alpha": 0.04}}, "on other terms"),
        ({"measures": TERMS["measures"][:4]}, "on other terms"),
        ({"records": deployment(20, end=False)}, "the shadow deployment is not over"),
    ],
)
def test_one_of_other_models_or_terms_or_without_an_end_decides_nothing(ask, stand, changes, told):
    found = ask(stand(**changes))
    assert (found.status, last(found).status) == (Status.NOT_EVALUATED, Status.NOT_EVALUATED)
    assert told in last(found).reason


def test_none_and_a_changed_one_decide_nothing(ask, stand, tmp_path):
    assert "no shadow deployment was given: --shadow DIR" in last(ask()).reason
    assert "no shadow deployment here" in last(ask(tmp_path)).reason
    folder = stand()
    log = folder / "log.jsonl"
    log.write_text(log.read_text().replace('"hours"', '"hour"').replace("PASS", "FAIL", 1))
    found = last(ask(folder))
    assert found.status is Status.NOT_EVALUATED
    assert "log.jsonl" in found.reason


def test_who_is_in_production_is_the_registrys_word_then_that_of_the_run(ask, stand):
    folder = stand()
    assert last(ask(folder, in_production=None)).status is Status.PASS  # the evidence has a run of "old"
    other = SimpleNamespace(version="7", candidate=digest_of("other"))
    assert "its model in production was" in last(ask(folder, in_production=other)).reason
    unknown = SimpleNamespace(version="7", candidate="")
    assert "says who the model in production is" in last(ask(folder, in_production=unknown)).reason
    reason = last(ask(folder, in_production=None, production=None)).reason
    assert "the policy states it: production.without_shadow" in reason


def test_the_terms_are_part_of_the_policy(ask, release):
    policy = read_policy(release.root / "policy.yaml").digest
    beside = release.root / "beside.yaml"
    beside.write_text(yaml.safe_dump(TERMS | {"name": "other", "start": None}))
    assert read_policy(release.root / "policy.yaml").digest == policy
    beside.write_text(yaml.safe_dump(TERMS | {"hours": 5}))
    assert read_policy(release.root / "policy.yaml").digest != policy


def test_a_statement_in_its_place_is_printed_as_one(whole):
    policy, evidence = whole
    found = add_production(decide(policy, evidence, TODAY), policy, InUse(STAGED, OLD), evidence, None)
    assert found.status is Status.PASS
    assert last(found).word == "STATED"
    assert "as Ann Lead stated on 2026-05-01: One ward alone." in last(found).reason


def test_the_way_through_staging_is_asked_too(ask, stand):
    found = ask(stand(), staged=None)
    assert found.status is Status.NOT_EVALUATED
    assert found.conditions[-2].reason == "nothing is at staging; harness promote --to staging"
