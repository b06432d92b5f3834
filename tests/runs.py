"""Short ways to a run, for tests."""

from pathlib import Path

from harness.cohorts.phantom import PhantomCohort
from harness.run import Request, execute

SUITES = Path(__file__).parents[1] / "suites"
REPORT_SUITES = sorted(path for path in SUITES.glob("*.yaml") if "\nmeasures:" in path.read_text())
"""Those that judge reports; others ask about something else."""

SUITE = """\
name: small
version: 1
cohort: {split: test}
inference: {replicates: 200, seed: 1}
execution: {timeout_s: 20}
measures: [critical_sensitivity, hallucination_rate, failure_rate, findings_f1, bleu4, rougeL]
slices: [sex]
criteria:
  - {id: sensitivity, measure: critical_sensitivity, value: pooled, above: 0.9}
  - {id: failures, measure: failure_rate, below: 0.1}
"""


def write_suite(folder: Path, text: str = SUITE) -> Path:
    path = folder / "suite.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def run(suite: Path, root: Path, candidate, out: Path, **options):
    """Executes a suite on a phantom folder, in one worker unless told otherwise."""
    cohort = PhantomCohort(root, **{"split": "test", **options.pop("cohort", {})})
    return execute(
        Request(
            suite=suite,
            cohort=cohort,
            cohort_locator=f"phantom:{root}",
            candidate=candidate,
            candidate_locator=candidate.name,
            out=out,
            **options,
        )
    )
