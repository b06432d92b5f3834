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
    """One value that the challenger must not lose more than a margin of."""

    measure: str
    value: str = "value"
    margin: Share
    """The largest loss that does not matter, as a fraction: 0.02 is two percentage points. Of a value
    that is no proportion (an F1, a BLEU), in its own units."""
    confidence: Annotated[float, Field(gt=0.5, lt=1, allow_inf_nan=False)] = 0.95
    """Of the one-sided bound that must lie within the margin."""


class Arms(_Part):
    """How studies were dealt out, where no study was reported by both: by a keyed hash of the patient."""

    share: Share
    """Of patients that the challenger reports: 0.1."""
    salt: Annotated[str, Field(min_length=1, max_length=80)]
    """Names the experiment; another salt deals anew. See `harness.comparison.arm_of`."""


class ParityPart(_Part):
    """How closely an exported package must follow its checkpoint's numbers: for `harness parity`."""

    probability: Share
    """The greatest difference that any probability of a finding may have, in any study."""
    detections: Share
    """At least this share of findings must lie on the same side of their thresholds."""
    tokens: Share
    """At least this share of a report's tokens, each foretold from the true ones before it, must be
    the same."""
    confidence: Annotated[float, Field(gt=0.5, lt=1, allow_inf_nan=False)] = 0.95
    """Of the one-sided bounds of the two shares, by patient."""


class ComparisonPart(_Part):
    """When a challenger may replace the candidate in use."""

    alpha: Annotated[float, Field(gt=0, le=0.1, allow_inf_nan=False)] = 0.01
    """Two-sided family-wise error rate, shared by the family (Bonferroni) and by repeated looks."""
    family: Annotated[tuple[Hypothesis, ...], Field(strict=False)] = ()
    """What the challenger must be better at. None: it only must not be worse, by the guardrails."""
    guardrails: Annotated[tuple[Guardrail, ...], Field(strict=False)] = ()
    spending: Literal["obrien-fleming", "pocock"] = "obrien-fleming"
    """How looks before the planned number of studies (`cohort.studies`) spend alpha."""
    randomised: Arms | None = None
    """None: both candidates report the same studies."""
    parity: ParityPart | None = None
    """Limits on the numbers inside a package, beside those on its reports."""

    @model_validator(mode="after")
    def _asks_something(self) -> ComparisonPart:
        if not self.family and not self.guardrails:
            raise ValueError("needs a family, guardrails, or both")
        if self.parity is not None and (self.family or self.randomised is not None):
            raise ValueError("parity goes with guardrails alone: nothing need be better, on the same studies")
        return self

    @model_validator(mode="after")
    def _no_pairs(self) -> ComparisonPart:
        if self.randomised is not None and any(item.test != "permutation" for item in self.family):
            raise ValueError("a randomised comparison has no pairs: its test is the permutation")
        return self
