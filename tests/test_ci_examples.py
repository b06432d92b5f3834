"""The README's pipelines: they parse, and every command in them is a real one."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from harness.cli import parser

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## Promotion in CI\n")[2].partition("\n## ")[0]
GITHUB, GITLAB = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL))
SHELL = re.search(r"```sh\n(.*?)```", SECTION, re.DOTALL).group(1)


def github_steps():
    (job,) = GITHUB["jobs"].values()
    return job["steps"]


def scripts():
    """Where it stands -> lines of shell."""
    return {
        "github": [line for step in github_steps() for line in step.get("run", "").splitlines()],
        "gitlab": GITLAB["promotion"]["script"],
        "readme": re.sub(r"[\[\]]", "", SHELL.replace("\\\n", " ")).splitlines(),
    }


COMMANDS = [
    (place, line) for place, lines in scripts().items() for line in lines if line.startswith("harness ")
]


def words_of(line):
    return shlex.split(line.removesuffix("|| true"), comments=True)


@pytest.mark.parametrize(("place", "line"), COMMANDS)
def test_every_command_is_a_real_verb_with_real_options(place, line):
    options = parser().parse_args(words_of(line)[1:])
    assert callable(options.act)


@pytest.mark.parametrize(("place", "line"), COMMANDS)
def test_every_suite_that_is_named_is_there(place, line):
    for word in words_of(line):
        assert not word.startswith("suites/") or (ROOT / word).is_file()


def test_each_place_has_the_whole_line():
    for place in ("github", "gitlab"):
        verbs = [words_of(line)[1] for found, line in COMMANDS if found == place]
        assert verbs == ["run", "run", "run", "parity", "latency", "gate"]
    assert len([line for place, line in COMMANDS if place == "readme"]) == 2


def test_what_the_gate_reads_is_what_the_steps_before_it_write():
    for place in ("github", "gitlab"):
        parsed = [parser().parse_args(words_of(line)[1:]) for found, line in COMMANDS if found == place]
        *made, gate = parsed
        written = {options.out for options in made}
        assert {gate.run, gate.production, gate.fairness, gate.parity, gate.latency} == written
        assert gate.policy == Path("suites/promotion.yaml")


def test_only_the_gate_decides_and_its_pages_are_kept_whatever_it_says():
    steps = github_steps()
    (evidence,) = (step for step in steps if step.get("name") == "Evidence")
    assert evidence["continue-on-error"] is True
    (gate,) = (step for step in steps if step.get("name") == "Gate")
    assert "continue-on-error" not in gate
    kept = [step for step in steps if step.get("if") == "always()"]
    assert any("GITHUB_STEP_SUMMARY" in step.get("run", "") for step in kept)
    assert any("upload-artifact" in step.get("uses", "") for step in kept)
    for line in GITLAB["promotion"]["script"]:
        assert ("|| true" in line) == (line.startswith("harness ") and not line.startswith("harness gate"))
    artifacts = GITLAB["promotion"]["artifacts"]
    assert artifacts["when"] == "always"
    assert artifacts["reports"]["junit"] == "runs/new/gate/promotion.xml"


def test_the_exit_codes_are_all_there():
    assert re.findall(r"^\| (\d) \|", SECTION, re.MULTILINE) == ["0", "1", "2", "3"]
