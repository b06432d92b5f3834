"""`harness promote` as a user meets it when it must refuse; what it does is in tests/promotion."""

import sys

import pytest

from harness.cli import main
from harness.testing import ConstantReport
from runs import SUITE, SUITES, run, write_suite


@pytest.fixture(scope="module")
def words(tmp_path_factory, phantom_root):
    """A run of another suite than the policy's, that fails."""
    folder = tmp_path_factory.mktemp("judged")
    run(write_suite(folder, SUITE), phantom_root, ConstantReport("No pneumothorax."), folder / "run")
    return ["promote", str(folder / "run"), "--policy", str(SUITES / "promotion_phantom.yaml")]


def test_what_fails_is_not_promoted_and_nothing_is_made(words, tmp_path, capsys):
    registry = tmp_path / "registry"
    assert main([*words, "--to", "staging", "--registry", str(registry)]) == 1
    out = capsys.readouterr().out
    assert "Promotion: FAIL" in out
    assert "Not promoted: staging stays at no version" in out
    assert "latency: no run of the latency suite" in out
    assert not registry.exists()


def test_bad_usage_is_2_without_a_traceback(words, capsys):
    with pytest.raises(SystemExit) as error:
        main([*words, "--to", "prod"])
    assert error.value.code == 2
    assert "invalid choice: 'prod' (choose from 'staging', 'production')" in capsys.readouterr().err
    assert main([*words[:-1], "nowhere.yaml", "--to", "staging"]) == 2
    assert "nowhere.yaml: no such file" in capsys.readouterr().err
    assert main(["promote", "nowhere", "--to", "staging"]) == 2
    assert "nowhere: no run here" in capsys.readouterr().err


def test_without_mlflow_the_extra_is_named(words, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert main([*words, "--to", "staging"]) == 2
    assert 'mlflow is not installed; pip install "harness[registry]"' in capsys.readouterr().err


def test_a_server_that_does_not_answer_is_3(words, capsys, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert main([*words, "--to", "staging", "--registry", "http://127.0.0.1:9"]) == 3
    assert "registry http://127.0.0.1:9 does not answer" in capsys.readouterr().err
