"""`harness promote` as a user meets it."""

import sys

import pytest

import harness.dossier
import harness.promotion.evidence as evidence_module
from harness.candidates.template import TemplateCandidate
from harness.cli import main
from harness.digests import digest_value
from registries import make_weights


@pytest.fixture
def asked(monkeypatch, release, local_registry, tmp_path):
    """The words of a promotion in which everything holds."""
    monkeypatch.setattr(evidence_module, "read_latency", lambda folder: release.times)
    monkeypatch.setattr(TemplateCandidate, "digest", lambda self: digest_value("new"))
    monkeypatch.setattr(
        harness.dossier, "write_dossier", lambda run, out: (out / "dossier.html").write_text("<p>")
    )
    return [
        "promote", str(release.root / "run"), "--policy", str(release.root / "policy.yaml"),
        "--candidate", make_weights(tmp_path / "weights"), "--registry", str(local_registry.store.folder),
    ]  # fmt: skip


def test_what_passes_is_promoted_and_what_fails_is_not(asked, capsys, release, local_registry):
    assert main([*asked, "--to", "production"]) == 3
    out = capsys.readouterr().out
    assert "production.staging: nothing is at staging; harness promote --to staging" in out
    assert "Not promoted: production stays at no version" in out
    assert main([*asked, "--to", "staging"]) == 0
    told = capsys.readouterr()
    assert "Registered   models:/report-generator/1, candidate sha256" in told.out
    assert "staging      no version -> version 1" in told.out
    assert "Use it       --candidate models:/report-generator@staging" in told.out
    assert told.err == ""
    release.latency(status=evidence_module.Verdict and __import__("harness.status").status.Status.FAIL)
    assert main([*asked, "--to", "production"]) == 1
    assert local_registry.aliases("report-generator") == {"staging": "1"}


def test_bad_usage_is_2_without_a_traceback(asked, capsys, monkeypatch):
    with pytest.raises(SystemExit) as error:
        main([*asked, "--to", "prod"])
    assert error.value.code == 2
    assert "invalid choice: 'prod' (choose from 'staging', 'production')" in capsys.readouterr().err
    asked[asked.index("--policy") + 1] = "nowhere.yaml"
    assert main([*asked, "--to", "staging"]) == 2
    assert "nowhere.yaml: no such file" in capsys.readouterr().err


def test_without_mlflow_the_extra_is_named(asked, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert main([*asked, "--to", "staging"]) == 2
    assert 'mlflow is not installed; pip install "harness[registry]"' in capsys.readouterr().err


def test_a_candidate_of_the_registry_is_named_with_what_is_there(asked, capsys, local_registry, tmp_path):
    assert main([*asked, "--to", "staging"]) == 0
    words = ["run", "suites/ci.yaml", "--cohort", "phantom:nowhere", "--out", str(tmp_path / "out")]
    reference = f"models:/report-generator@production?registry={local_registry.store.folder}"
    capsys.readouterr()
    assert main([*words, "--candidate", reference]) == 2
    told = capsys.readouterr().err
    assert "has no alias production; there: report-generator@staging (version 1)" in told
