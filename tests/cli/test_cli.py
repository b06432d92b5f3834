import json
import os
import subprocess
import sys

import pytest

from harness import __version__
from harness.cli import main, parser
from runs import SUITE, SUITES, write_suite


def harness(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "harness", *map(str, words)], capture_output=True, text=True, **options
    )


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from harness.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'pandas', 'torch', 'scipy', 'pyarrow', 'pydantic', 'rich', 'yaml', 'jinja2'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_every_verb_has_help(capsys):
    verbs = next(action for action in parser()._actions if action.dest == "verb").choices
    assert {"run", "gate", "report", "check", "lock", "suite", "phantom"} <= set(verbs)
    for verb in verbs:
        with pytest.raises(SystemExit) as ended:
            main([verb, "--help"])
        assert ended.value.code == 0
        assert capsys.readouterr().out.startswith(f"usage: harness {verb}")


def test_version():
    assert harness("--version").stdout == f"harness {__version__}\n"


@pytest.mark.parametrize(
    "words", [(), ("walk",), ("run",), ("gate",), ("run", "x.yaml", "--candidate", "template")]
)
def test_wrong_usage_ends_in_2(words):
    result = harness(*words)
    assert result.returncode == 2
    assert "usage: harness" in result.stderr


def test_the_whole_line_verb_by_verb(tmp_path, phantom_root):
    suite, cohort, out = SUITES / "ci.yaml", f"phantom:{phantom_root}", tmp_path / "run"
    small = write_suite(tmp_path)
    assert harness("check", suite).returncode == 0
    lock = harness("lock", small, "--cohort", cohort, "--out", tmp_path / "lock.json")
    assert lock.returncode == 0
    assert "studies locked at" in lock.stdout
    judged = harness("run", small, "--candidate", "template", "--cohort", cohort, "--out", out,
                     "--lock", tmp_path / "lock.json")  # fmt: skip
    assert judged.returncode == 1, judged.stderr
    assert "Verdict: FAIL" in judged.stdout
    assert judged.stderr == "", "silent when it is not a terminal"
    gate = harness("gate", out)
    assert gate.returncode == 1
    assert json.loads((out / "gate" / "verdict.json").read_text())["status"] == "FAIL"
    report = harness("report", out)
    assert report.returncode == 0
    assert (out / "dossier" / "dossier.pdf").stat().st_size > 10_000
    for path in report.stdout.split()[1::2] + gate.stdout.split()[-5::2]:
        assert os.path.exists(path), path


def test_check_says_how_many_are_needed():
    told = harness("check", SUITES / "regulatory.yaml").stdout
    assert "needs 149, 236, 313 trials for 0, 1, 2 errors" in told
    assert "bleu4|coco" in told


def test_the_schema_is_json():
    schema = json.loads(harness("suite", "schema").stdout)
    assert schema["$schema"].startswith("https://json-schema.org/")


def test_phantom_make(tmp_path):
    words = ("phantom", "make", "--studies", 3, "--seed", 1, "--out", tmp_path / "c", "--test-share", "1")
    assert "3 studies, seed 1" in harness(*words).stdout
    assert harness(*words).returncode == 0
    assert harness(*words[:4], "--seed", 2, *words[6:]).returncode == 2


def test_errors_go_to_standard_error_without_a_traceback(tmp_path):
    result = harness("check", write_suite(tmp_path, SUITE.replace("name: small", "nome: small")))
    assert result.returncode == 2
    assert result.stdout == ""
    assert "suite.yaml:1:1: nome: unknown key; did you mean name?" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_defect_of_ours_is_neither_a_pass_nor_a_fail(monkeypatch, capsys):
    from harness.cli import check

    def broken(options):
        raise ZeroDivisionError(" ".join(["Mr", "Smith"]))

    monkeypatch.setattr(check, "act", broken)
    assert main(["check", str(SUITES / "ci.yaml")]) == 3
    told = capsys.readouterr().err
    assert "ZeroDivisionError" in told
    assert "internal error; nothing was decided" in told
    assert "in broken" in told
    assert "Mr Smith" not in told  # a message may quote a report


def test_an_interruption_says_how_to_go_on(monkeypatch, capsys):
    from harness.cli import check

    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "act", interrupted)
    assert main(["check", str(SUITES / "ci.yaml")]) == 130
    assert "goes on where this one stopped" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_traceback():
    command = f"{sys.executable} -m harness suite schema | head -1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True)  # noqa: S602
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--address", "head:6379"], "--address names a Ray cluster; give --engine ray with it"),
        (["--engine", "ray", "--annotations", "kept"], "--engine ray keeps nothing in it"),
    ],
)
def test_what_goes_with_another_engine_is_refused(tmp_path, capsys, options, told):
    words = ["run", "suite.yaml", "--candidate", "template", "--cohort", "phantom:x", "--out", str(tmp_path)]
    assert main([*words, *options]) == 2
    assert told in capsys.readouterr().err
