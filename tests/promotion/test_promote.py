"""A decision carried out: what passes goes into the registry with its proof, and nothing else does."""

import pickle
import shutil
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

import harness.dossier
import harness.promotion.evidence as evidence_module
import harness.promotion.promote as module
from harness.candidates import open_candidate
from harness.candidates.template import TemplateCandidate
from harness.chain import Chain
from harness.cli import main
from harness.digests import digest_value
from harness.errors import CandidateError, LedgerError, NotEvaluable, RegistryConflict, RegistryUnreachable
from harness.ledger import Ledger
from harness.promotion.evidence import Unusable
from harness.promotion.promote import promote, propose
from harness.registry import Registry
from harness.status import Status
from registries import Flaky, add_version, dying, in_child, make_weights


@pytest.fixture
def name():
    """A model of this test's own: all tests share one server."""
    return f"model-{uuid.uuid4().hex[:8]}"


def short_digest(candidate):
    """Of the weights alone, so that made runs can be of candidates that are there."""
    return digest_value((candidate.classifier.directory / "model.safetensors").read_text())


def short_dossier(run, out):
    (out / "dossier.pdf").write_bytes(b"%PDF " + Ledger(run).digest().encode())
    (out / "dossier.html").write_text("<p>")


@pytest.fixture
def desk(monkeypatch, release, whole, name, tmp_path):
    """Proposes the release's candidate; what was gathered of the whole release is not gathered anew."""
    policy, evidence = whole
    monkeypatch.setattr(TemplateCandidate, "digest", short_digest)
    monkeypatch.setattr(harness.dossier, "write_dossier", short_dossier)
    weights = make_weights(tmp_path / "weights", "new")

    def desk(registry, target="staging", *, candidate=weights, model=name, in_policy=policy, **changes):
        def gather(policy, run, **pieces):
            return replace(evidence, in_production=pieces["in_production"], **changes)

        monkeypatch.setattr(module, "gather", gather)
        return propose(
            registry, release.root / "run", in_policy, target, name=model, candidate=candidate, pieces={}
        )

    return desk


def promoting(uri, folder, step, pickled):
    """What a child does: carries a decision out, and dies on the way."""
    TemplateCandidate.digest = short_digest
    harness.dossier.write_dossier = short_dossier
    promote(dying(Registry(uri, folder), step), pickle.loads(pickled))  # noqa: S301 - made by this test


class TestPromote:
    def test_by_staging_to_production_with_its_proof(self, registry, desk, name, tmp_path, monkeypatch):
        first = desk(registry)
        assert first.promotion.status is Status.PASS
        done = promote(registry, first)
        assert (done.version.aliases, done.previous) == (("staging",), None)
        second = desk(registry, "production")
        assert second.promotion.conditions[-2].reason == f"version {done.version.version} is at staging"
        done = promote(registry, second)
        assert done.version.aliases == ("production", "staging")
        assert len(registry.versions(name)) == 1
        tags, decided = done.version.tags, second.promotion
        for key, value in {
            "candidate": digest_value("new"), "ledger": decided.ledger, "policy": decided.policy["digest"],
            "promotion": decided.digest, "waivers": "0", "verdict": second.verdict, "dossier": done.dossier,
            "evidence": done.place, "why": "promoted",
        }.items():  # fmt: skip
            assert tags[f"harness.production.{key}"] == value
        listed = registry.client.list_artifacts(done.version.run_id, done.place)
        assert {Path(item.path).name for item in listed} == {
            "dossier.html", "dossier.pdf", "promotion.json", "promotion.md",
        }  # fmt: skip
        entries = list(Chain(registry.store.folder / "moves.jsonl").entries())
        assert [(entry["event"], entry.get("alias")) for entry in entries] == [
            ("moving", "staging"), ("moved", None), ("moving", "production"), ("moved", None),
        ]  # fmt: skip
        assert entries[2]["verdict"] == second.verdict
        monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.store.tracking)
        assert open_candidate(f"models:/{name}@production").digest() == digest_value("new")
        registry.client.log_text(done.version.run_id, "worse", "candidate/files/model.safetensors")
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)  # what was fetched before is what was promoted
        with pytest.raises(CandidateError, match="are not those that were promoted"):
            open_candidate(f"models:/{name}@production")

    def test_a_version_whose_files_were_changed_is_not_promoted_further(self, registry, desk, name):
        version = promote(registry, desk(registry)).version
        proposal = desk(registry, "production")
        registry.client.log_text(version.run_id, "worse", "candidate/files/model.safetensors")
        with pytest.raises(CandidateError, match="are not those that were promoted"):
            promote(registry, proposal)
        assert registry.aliases(name) == {"staging": version.version}

    def test_of_two_at_once_the_second_is_told(self, registry, desk, name):
        one, two = desk(registry), desk(registry)
        version = promote(registry, one).version
        with pytest.raises(
            RegistryConflict, match=f"is at version {version.version}, no longer at no version"
        ):
            promote(registry, two)
        assert registry.aliases(name) == {"staging": version.version}

    @pytest.mark.slow
    def test_out_of_reach_in_the_middle_the_old_alias_stays_and_the_same_goes_on(self, registry, desk, name):
        old = add_version(registry, name)
        registry.move_alias(name, "staging", old, expected=None, why="test")
        done, calls, seen = None, 0, set()
        while done is None:
            proposal = desk(registry)
            try:
                with Flaky(registry, calls):
                    done = promote(registry, proposal)
            except RegistryUnreachable:
                seen.add(registry.aliases(name)["staging"])
            calls += 4
        assert old in seen
        assert seen <= {old, done.version.version}
        assert registry.aliases(name) == {"staging": done.version.version}

    @pytest.mark.slow
    def test_killed_at_any_step_the_same_command_finishes(self, registry, desk, name):
        place = (registry.store.registry, registry.store.folder)
        version, step = None, 0
        while True:
            proposal = desk(registry, "staging")
            code = in_child(promoting, *place, step, pickle.dumps(proposal))
            if code == 0:
                break
            assert code == -9
            known = registry.aliases(name) if name in registry.names() else {}
            assert known in ({}, {"staging": "1"})
            step += 1 if registry.store.database else 3  # the steps are the same: it need not be each twice
            assert step < 30
        assert step > 4
        version = registry.version_at(name, "staging")
        assert version.version == "1"
        assert version.tags["harness.staging.promotion"] == proposal.promotion.digest
        moved = [entry["event"] for entry in Chain(registry.store.folder / "moves.jsonl").entries()]
        assert moved[-2:] == ["moving", "moved"]


def test_production_is_reached_through_staging(local_registry, desk):
    proposal = desk(local_registry, "production")
    assert proposal.promotion.status is Status.NOT_EVALUATED
    assert proposal.promotion.conditions[-2].reason == "nothing is at staging; harness promote --to staging"
    with pytest.raises(NotEvaluable, match="only PASS is promoted"):
        promote(local_registry, proposal)
    assert not local_registry.names()
    other = add_version(local_registry, proposal.name)
    local_registry.move_alias(proposal.name, "staging", other, expected=None, why="test")
    proposal = desk(local_registry, "production")
    assert "another candidate is at staging: version 1" in proposal.promotion.conditions[-2].reason
    assert proposal.promotion.status is Status.NOT_EVALUATED


def test_a_policy_may_let_it_past_staging(local_registry, desk, whole):
    policy = whole[0]
    section = policy.asked.production.model_copy(update={"from_staging": False})
    asked = policy.asked.model_copy(update={"production": section})
    proposal = desk(local_registry, "production", in_policy=replace(policy, asked=asked))
    assert proposal.promotion.status is Status.PASS
    assert promote(local_registry, proposal).version.aliases == ("production",)
    assert replace(policy, asked=asked).digest != policy.digest


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"latency": None}, Status.NOT_EVALUATED),
        ({"run": Unusable("rows/00000.parquet: was changed after it was written")}, Status.NOT_EVALUATED),
    ],
)
def test_what_is_missing_or_damaged_is_not_promoted(local_registry, desk, changes, status):
    proposal = desk(local_registry, **changes)
    assert proposal.promotion.status is status
    with pytest.raises(NotEvaluable, match="NOT EVALUATED; only PASS is promoted"):
        promote(local_registry, proposal)
    assert not local_registry.names()


def test_a_changed_run_is_not_promoted(local_registry, release, whole):
    """With the evidence gathered from the folder itself."""
    path = release.root / "run" / "rows" / "00000.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    asked = whole[0].asked
    for section in ("latency", "fairness", "parity", "non_inferiority"):
        asked = asked.model_copy(update={section: getattr(asked, section).model_copy(update={"run": None})})
    proposal = propose(
        local_registry, release.root / "run", replace(whole[0], asked=asked), "staging", candidate="template",
        pieces={},
    )  # fmt: skip
    first = proposal.promotion.conditions[0]
    assert (first.id, first.status) == ("evidence.run", Status.NOT_EVALUATED)
    with pytest.raises(NotEvaluable):
        promote(local_registry, proposal)


def test_a_candidate_that_was_changed_since_it_was_judged_is_refused(local_registry, desk, tmp_path):
    proposal = desk(local_registry, candidate=make_weights(tmp_path / "weights", "changed"))
    with pytest.raises(CandidateError, match="is not the candidate that was judged"):
        promote(local_registry, proposal)
    assert not local_registry.names()


def test_who_is_in_production_is_the_registrys_to_say(local_registry, desk, name):
    """Then a run of another one decides nothing."""
    old = add_version(local_registry, name)
    local_registry.client.set_model_version_tag(name, old, "harness.candidate", digest_value("older"))
    local_registry.move_alias(name, "production", old, expected=None, why="test")
    assert desk(local_registry).promotion.status is Status.NOT_EVALUATED
    local_registry.client.set_model_version_tag(name, old, "harness.candidate", digest_value("old"))
    assert desk(local_registry).promotion.status is Status.PASS


def test_a_promotion_cut_off_after_the_move_counts_against_what_was_replaced(local_registry, desk, name):
    old = add_version(local_registry, name)
    local_registry.client.set_model_version_tag(name, old, "harness.candidate", digest_value("old"))
    local_registry.move_alias(name, "production", old, expected=None, why="test")
    promote(local_registry, desk(local_registry))
    first = desk(local_registry, "production")
    done = promote(local_registry, first)
    again = desk(local_registry, "production")
    assert again.promotion.digest == first.promotion.digest
    assert promote(local_registry, again).version.version == done.version.version
    assert local_registry.previous(name, "production") == old


def test_a_candidate_of_the_registry_keeps_its_version_and_name(local_registry, desk, name, monkeypatch):
    version = promote(local_registry, desk(local_registry)).version
    monkeypatch.setenv("MLFLOW_TRACKING_URI", local_registry.store.tracking)
    proposal = desk(local_registry, "production", candidate=f"models:/{name}@staging", model=None)
    assert proposal.name == name
    assert promote(local_registry, proposal).version.version == version.version


def test_where_the_candidate_was_is_in_the_log_of_the_run(local_registry, desk, release, tmp_path):
    with pytest.raises(LedgerError, match="name it with --candidate"):
        desk(local_registry, candidate=None)
    Ledger(release.root / "run").log.append("context", candidate=f"template:{tmp_path / 'weights'}")
    assert desk(local_registry, candidate=None).locator == f"template:{tmp_path / 'weights'}"


def test_waivers_are_counted(local_registry, desk, monkeypatch):
    proposal = desk(local_registry)
    state = type("State", (), {"applied": True, "as_json": lambda self: {}})()
    waived = replace(proposal, promotion=replace(proposal.promotion, waivers=(state,)))
    monkeypatch.setattr(module, "write_promotion", lambda out, *_: _records(out))
    assert promote(local_registry, waived).version.tags["harness.staging.waivers"] == "1"


def _records(out):
    out.mkdir(exist_ok=True)
    for suffix in ("json", "md"):
        (out / f"promotion.{suffix}").write_text("{}")


def test_the_command_line_promotes_and_tells_where(
    local_registry, desk, release, tmp_path, monkeypatch, capsys
):
    """All evidence is gathered here; the fixture `desk` only shortens digest and dossier."""
    monkeypatch.setattr(evidence_module, "read_latency", lambda folder: release.times)
    words = [
        "promote", str(release.root / "run"), "--policy", str(release.root / "policy.yaml"),
        "--candidate", f"template:{tmp_path / 'weights'}", "--registry", str(local_registry.store.folder),
    ]  # fmt: skip
    assert main([*words, "--to", "production"]) == 3
    out = capsys.readouterr().out
    assert "production.staging: nothing is at staging; harness promote --to staging" in out
    assert "Not promoted: production stays at no version" in out
    assert main([*words, "--to", "staging"]) == 0
    told = capsys.readouterr()
    assert "Registered   models:/report-generator/1, candidate sha256" in told.out
    assert "staging      no version -> version 1" in told.out
    assert "Use it       --candidate models:/report-generator@staging" in told.out
    assert told.err == ""
    release.latency(status=Status.FAIL)
    assert main([*words, "--to", "production"]) == 1
    assert local_registry.aliases("report-generator") == {"staging": "1"}


def test_a_rehearsal_is_not_promoted(local_registry, desk, whole):
    policy = whole[0]
    section = policy.asked.regulatory.model_copy(update={"cohort": "phantoms"})
    asked = policy.asked.model_copy(update={"regulatory": section})
    proposal = desk(local_registry, in_policy=replace(policy, asked=asked))
    assert proposal.promotion.status is Status.NOT_EVALUATED
    assert proposal.promotion.conditions[-1].reason == "a rehearsal on generated phantoms promotes nothing"
    with pytest.raises(NotEvaluable, match="only PASS is promoted"):
        promote(local_registry, proposal)
