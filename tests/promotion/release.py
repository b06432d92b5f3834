"""A whole release made by hand, in which everything holds: runs of rows alone, without texts or a model."""

import json
import shutil
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa

import harness.promotion.evidence as evidence_module
from harness.deployment.numbers import Numbers
from harness.digests import digest_file, digest_value
from harness.latency.suite import read_latency_suite
from harness.ledger import Ledger
from harness.lock import in_identity, record_look, write_lock
from harness.promotion import decide, gather, read_policy
from harness.run import CASES, PREDICTIONS, conclude
from harness.status import Status
from harness.suite import read_suite
from harness.verdict import Decision, Verdict

SECTIONS = {
    "latency": ["latency"], "fairness": ["fairness"], "parity": ["parity"],
    "non_inferiority": ["production", "comparison"],
}  # fmt: skip
"""What is gathered for each section of a policy."""
TODAY = date(2026, 6, 1)
STUDIES = 240
HEAD = """\
name: NAME
version: 1
cohort: {studies: 240}
inference: {replicates: 200, seed: 1}
measures: [critical_sensitivity, hallucination_rate, failure_rate]
"""
REGULATORY = HEAD.replace("NAME", "regulatory") + """\
criteria:
  - {id: sensitivity-pneumothorax, measure: critical_sensitivity, value: Pneumothorax, above: 0.98}
  - {id: sensitivity-fracture, measure: critical_sensitivity, value: Fracture, above: 0.98}
  - {id: sensitivity-mass, measure: critical_sensitivity, value: Lung Lesion, above: 0.98}
  - {id: sensitivity-effusion, measure: critical_sensitivity, value: Pleural Effusion, above: 0.98}
  - {id: hallucination, measure: hallucination_rate, value: per-claim, below: 0.03}
  - {id: failures, measure: failure_rate, below: 0.02}
"""  # fmt: skip
FAIRNESS = HEAD.replace("NAME", "fairness") + """\
slices: [sex]
criteria:
  - {id: sensitivity, measure: critical_sensitivity, value: pooled, above: 0.9, over: [sex],
     statistic: worst, minimum_trials: 30}
  - {id: failures, measure: failure_rate, below: 0.1, over: [sex], statistic: worst, minimum_trials: 30}
"""  # fmt: skip
PARITY = HEAD.replace("NAME", "parity") + """\
criteria:
  - {id: failures, measure: failure_rate, below: 0.1}
comparison:
  guardrails:
    - {measure: critical_sensitivity, value: pooled, margin: 0.02}
    - {measure: failure_rate, margin: 0.02}
  parity: {probability: 0.02, detections: 0.9, tokens: 0.9}
"""  # fmt: skip
LATENCY = """\
name: latency
version: 1
kind: latency
target: {device: NVIDIA A10G}
closed: {studies: 400}
criteria:
  - {id: p99, value: p99, below_s: 15}
"""
POLICY = """\
name: promotion
version: 1
regulatory: {suite: regulatory.yaml, lock: required}
critical_sensitivity: {above: 0.98}
hallucination: {below: 0.03}
latency: {suite: latency.yaml, run: latency}
fairness: {suite: fairness.yaml, run: fairness}
parity: {suite: parity.yaml, run: parity}
non_inferiority:
  run: production
  guardrails:
    - {measure: critical_sensitivity, value: pooled, margin: 0.02}
    - {measure: critical_sensitivity, value: Pneumothorax, margin: 0.05}
    - {measure: critical_sensitivity, value: Fracture, margin: 0.05}
    - {measure: critical_sensitivity, value: Lung Lesion, margin: 0.05}
    - {measure: critical_sensitivity, value: Pleural Effusion, margin: 0.05}
    - {measure: hallucination_rate, value: per-claim, margin: 0.05}
    - {measure: failure_rate, margin: 0.02}
production:
  without_shadow: {by: Ann Lead, date: 2026-05-01, reason: One ward alone.}
waivers: []
"""
FILES = {
    "policy.yaml": POLICY, "regulatory.yaml": REGULATORY, "fairness.yaml": FAIRNESS, "parity.yaml": PARITY,
    "latency.yaml": LATENCY,
}  # fmt: skip


def digest_of(name):
    return digest_value(name)


class Cohort(SimpleNamespace):
    def __len__(self):
        return STUDIES


def make_run(
    folder, suite, candidate, *, missed=(), failed=0, invented=0, lock=None, kind="manifest", first=0, **facts
):
    """A run in which every study has all four critical findings, and each is found.

    `missed`: (finding, how many of the studies); `failed`, `invented`: so many studies; `first`: number
    of the first study.
    """
    asked = read_suite(suite)
    measures = asked.build_measures()
    ids = [f"s{first + k:04d}" for k in range(STUDIES)]
    rows = {key: np.zeros((STUDIES, len(m.columns)), dtype=np.int64) for key, m in measures.items()}
    cells = rows["critical_sensitivity"]
    columns = measures["critical_sensitivity"].columns
    for finding in measures["critical_sensitivity"].values:
        found = 4 if finding == "pooled" else 1
        for cell in ("tp", "pos"):
            cells[:, columns.index(f"{finding}:{cell}")] = found
    for finding, count in missed:
        cells[:count, columns.index(f"{finding}:tp")] -= 1
        cells[:count, columns.index("pooled:tp")] -= 1
    rows["hallucination_rate"][:, [1, 3]] = 1
    rows["hallucination_rate"][:invented, [0, 2]] = 1
    rows["failure_rate"][:failed, 0] = 1
    rows["failure_rate"][:, 1] = 1
    identity = {
        "format": 1, "suite": asked.digest(), "cohort": digest_of("cohort"), "cohort_kind": kind,
        "candidate": digest_of(candidate), "candidate_kind": "made", "labels_source": "people",
        "labeler": "none", "graphs": None, "lock": in_identity(lock and json.loads(lock.read_text())),
        **facts,
    }  # fmt: skip
    labels = [0] * 14
    schema = pa.schema(
        [
            ("study_id", pa.string()),
            ("candidate_labels", pa.list_(pa.int8())),
            *((key, pa.list_(pa.int64())) for key in rows),
        ]
    )
    empty = {field.name: "" if field.type == pa.string() else [] for field in CASES}
    with Ledger.writing(folder, identity, suite.read_bytes()) as ledger:
        if lock is not None:
            record_look(lock, ledger)
        cases = [
            {**empty, "study_id": study, "patient_id": f"p{study}", "labels": labels,
             "groups": json.dumps({"sex": "FM"[k % 2]})}
            for k, study in enumerate(ids)
        ]  # fmt: skip
        ledger.write("cases", cases, CASES)
        blank = {field.name: "" for field in PREDICTIONS}
        ledger.write(
            "predictions",
            [
                {**blank, "study_id": study, "status": "ok" if k >= failed else "failed"}
                for k, study in enumerate(ids)
            ],
            PREDICTIONS,
        )
        records = [
            {"study_id": study, "candidate_labels": labels, **{key: rows[key][k].tolist() for key in rows}}
            for k, study in enumerate(ids)
        ]
        ledger.write("rows", records, schema)
        cohort = Cohort(eligible=STUDIES, exclusions=())
        ledger.write_results(json.loads(json.dumps(conclude(ledger, asked, cohort))))
    return folder


def decision(name, status):
    return Decision(
        name, status, "latency", name, None, "below", 15.0, "upper", 0.95, 9.0, 8.0, 7.0, 9.0, None, None,
        400, 400, "order statistics", "latency", f"{name} is {status}", "", "",
    )  # fmt: skip


class Release:
    """A folder with a policy, its suites, and all the evidence; pieces can be made anew with a fault."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        for name, text in FILES.items():
            self.write(name, text)
        self.lock = root / "protocol" / "lock.json"
        write_lock(self.lock, read_suite(root / "regulatory.yaml"), digest_of("cohort"), STUDIES)
        make_run(root / "run", root / "regulatory.yaml", "new", lock=self.lock)
        make_run(root / "production", root / "regulatory.yaml", "old", failed=1)
        make_run(root / "fairness", root / "fairness.yaml", "new")
        self.parity()
        self.latency()

    @classmethod
    def opened(cls, root: Path, whole):
        """A copy of one that is there; `whole` is the evidence that was gathered of it."""
        release = cls.__new__(cls)
        release.root, release.lock, release.whole = root, root / "protocol" / "lock.json", whole
        release.latency()
        return release

    def write(self, name, text):
        (self.root / name).write_text(text, encoding="utf-8")

    def change(self, old, new, name="policy.yaml"):
        text = (self.root / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def waive(self, condition, granted="2026-05-01", expires="2026-07-01", **changes):
        record = {
            "condition": condition,
            "candidate": digest_of("new"),
            "by": "Ann Lead",
            "reason": "Known.",
            **changes,
        }
        told = ", ".join(f"{key}: {value}" for key, value in record.items())
        self.change("waivers: []", f"waivers: [{{{told}, granted: {granted}, expires: {expires}}}]")

    def parity(self, folder="parity", full="new", exported="package", numbers=None, **faults):
        out = self.root / folder
        shutil.rmtree(out, ignore_errors=True)
        make_run(out / "full", self.root / "parity.yaml", full)
        make_run(out / "exported", self.root / "parity.yaml", exported, **faults)
        found = numbers or Numbers(
            studies=STUDIES, tokens=4000, token_agreement=1.0, token_bound=0.99, detection_agreement=1.0,
            detection_bound=0.99, logit_mean=0.0, probability_mean=0.0,
        )  # fmt: skip
        (out / "parity.json").write_text(json.dumps({"numbers": asdict(found)}))
        Ledger(out / "exported").log.append("parity", sha256=digest_file(out / "parity.json"))
        return out

    def latency(self, candidate="package", status=Status.PASS, mismatches=()):
        """What a latency run would give; the file stands for its folder."""
        whole = Status.NOT_EVALUATED if mismatches else status
        self.times = SimpleNamespace(
            candidate=digest_of(candidate),
            suite=read_latency_suite(self.root / "latency.yaml").digest(),
            ledger=digest_of("times"),
            device="NVIDIA T4" if mismatches else "NVIDIA A10G",
            target="NVIDIA A10G",
            on_target=not mismatches,
            mismatches=mismatches,
            verdict=Verdict(whole, (decision("p99", whole),), ()),
        )

    def gather(self, monkeypatch, only=SECTIONS, **options):
        """Policy and evidence. `only`: sections that are gathered; the others are as in the whole release."""
        monkeypatch.setattr(evidence_module, "read_latency", lambda folder: self.times)
        policy = read_policy(self.root / "policy.yaml")
        asked = policy.asked
        for section in set(SECTIONS) - set(only):
            part = getattr(asked, section).model_copy(update={"run": None})
            asked = asked.model_copy(update={section: part})
        found = gather(replace(policy, asked=asked), self.root / "run", **options)
        kept = {
            piece: getattr(self.whole, piece)
            for section in set(SECTIONS) - set(only)
            for piece in SECTIONS[section]
        }
        return policy, replace(found, **kept)

    def remake(self, name, suite, candidate, **faults):
        """A run made anew."""
        shutil.rmtree(self.root / name, ignore_errors=True)
        return make_run(self.root / name, self.root / suite, candidate, **faults)

    def decide(self, monkeypatch, *only, **options):
        return decide(*self.gather(monkeypatch, only or SECTIONS, **options), TODAY)
