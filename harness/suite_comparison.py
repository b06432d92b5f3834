"""What a suite asks of two candidates: which differences count, and what must not be lost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Hypothesis(_Part):
    """One value that the challenger may be better by."""

    measure: str
    value: str = "value"
    test: Literal["permutation", "t", "signed-rank", "mcnemar"] = "permutation"
    """The test that decides; the others are reported beside it. McNemar is for proportions whose
    trials are the same in both arms. In a randomised comparison it is always the permutation."""


class Guardrail(_Part):
    """One proportion that the challenger must not lose more than a margin of."""

    measure: str
    value: str = "value"
    margin: Share
    """The largest loss that does not matter, as a fraction: 0.02 is two percentage points."""
    confidence: Annotated[float, Field(gt=0.5, lt=1, allow_inf_nan=False)] = 0.95
    """Of the one-sided bound that must lie within the margin."""


class Arms(_Part):
    """How studies were dealt out, where no study was reported by both: by a keyed hash of the patient."""

    share: Share
    """Of patients that the challenger reports: 0.1."""
    salt: Annotated[str, Field(min_length=1, max_length=80)]
    """Names the experiment; another salt deals anew. See `harness.comparison.arm_of`."""


class ComparisonPart(_Part):
    """When a challenger may replace the candidate in use."""

    alpha: Annotated[float, Field(gt=0, le=0.1, allow_inf_nan=False)] = 0.01
    """Two-sided family-wise error rate, shared by the family (Bonferroni) and by repeated looks."""
    family: Annotated[tuple[Hypothesis, ...], Field(min_length=1, strict=False)]
    guardrails: Annotated[tuple[Guardrail, ...], Field(strict=False)] = ()
    spending: Literal["obrien-fleming", "pocock"] = "obrien-fleming"
    """How looks before the planned number of studies (`cohort.studies`) spend alpha."""
    randomised: Arms | None = None
    """None: both candidates report the same studies."""

    @model_validator(mode="after")
    def _no_pairs(self) -> ComparisonPart:
        if self.randomised is not None and any(item.test != "permutation" for item in self.family):
            raise ValueError("a randomised comparison has no pairs: its test is the permutation")
        return self
