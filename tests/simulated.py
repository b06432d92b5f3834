"""Measures and rows of simulated studies, for tests of numbers and decisions."""

from types import MappingProxyType

import numpy as np

from harness.measures.base import Measure, Proportion, ratio


class Detection(Measure):
    """One sensitivity and one F1, from columns made by hand."""

    name = "detection"
    columns = ("tp", "pos", "fp")
    values = ("sensitivity", "f1")
    proportions = MappingProxyType({"sensitivity": Proportion("tp", "pos")})

    def signature(self):
        return "detection|v1"

    def rows(self, pairs):
        raise NotImplementedError("rows are made by hand")

    def value(self, totals):
        tp, positives, fp = np.moveaxis(totals, -1, 0)
        return np.stack([ratio(tp, positives), ratio(2 * tp, positives + tp + fp)], axis=-1)


def detections(studies, sensitivity, seed=0, specificity=0.9, prevalence=0.5, per_patient=2):
    """Rows, patients and groups of simulated studies."""
    rng = np.random.default_rng(seed)
    positive = rng.random(studies) < prevalence
    claimed = np.where(positive, rng.random(studies) < sensitivity, rng.random(studies) > specificity)
    rows = np.stack([positive & claimed, positive, ~positive & claimed], axis=1).astype(np.int64)
    patients = [f"p{k // per_patient}" for k in range(studies)]
    groups = {"sex": rng.choice(["F", "M"], size=studies).tolist()}
    return rows, patients, groups
