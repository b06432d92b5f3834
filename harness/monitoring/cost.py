"""What a study costs, and what handling a share of them by machine returns: every figure a parameter."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from harness.chain import Chain
from harness.gpu_hours import GPU_USD_PER_HOUR, studies_per_hour

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]

HOURS_A_YEAR: Final = 8760.0


class CostPart(BaseModel):
    """The assumptions, a year at a time, in US dollars."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    gpu_usd_per_hour: Amount = GPU_USD_PER_HOUR
    gpus: Annotated[int, Field(ge=1)] = 4
    """Rented all year, whether busy or not."""
    studies_per_year: Positive = 2_300_000
    handled_share: Share = 0.15
    """Of the studies, those that the model handles."""
    usd_per_study_before: Amount = 25.0
    usd_per_study_after: Amount = 8.0
    """What is still paid for a handled study, such as the co-sign; without the costs below."""
    megabytes_per_study: Amount = 25.0
    """Kept of a handled study: two DICOM pictures of 12.5 MB, MIMIC-CXR's average (4.7 TB, 377,110)."""
    kept_years: Positive = 7.0
    """Storage is counted in the steady state, when so many years are kept."""
    usd_per_gigabyte_month: Amount = 0.023
    retrainings_per_year: Amount = 4.0
    gpu_hours_per_retraining: Amount = 500.0
    readings_per_retraining: Amount = 0.0
    """Studies read by radiologists for it, at `usd_per_study_before` each."""
    peak_factor: Positive = 3.0
    """Busiest hour over the average one: what capacity must hold."""


@dataclass(frozen=True, slots=True)
class Stated:
    """Figures of a business case to be checked against the assumptions."""

    saving_usd: float = 5.9e6
    return_on_cost: float = 39.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What follows from the assumptions."""

    handled: float
    """Studies a year."""
    compute_usd: float
    storage_usd: float
    retraining_usd: float
    gross_saving_usd: float
    capacity_per_hour: float | None
    """Studies an hour that all GPUs together can do, from measured time on the GPU; None: not measured."""

    @property
    def total_usd(self) -> float:
        """A year's cost of running the model."""
        return self.compute_usd + self.storage_usd + self.retraining_usd

    @property
    def usd_per_study(self) -> float:
        """Of running the model, per handled study."""
        return self.total_usd / self.handled

    @property
    def net_saving_usd(self) -> float:
        """Gross saving less the cost of running the model."""
        return self.gross_saving_usd - self.total_usd

    @property
    def gross_return(self) -> float:
        """Gross saving over cost; infinite where nothing costs anything."""
        return self.gross_saving_usd / self.total_usd if self.total_usd else math.inf

    @property
    def net_return(self) -> float:
        """Net saving over cost: what is usually called ROI."""
        return self.gross_return - 1


def work_out(part: CostPart, seconds_per_study: float | None = None) -> Cost:
    """The cost and return of a year.

    Args:
        part: the assumptions.
        seconds_per_study: measured time of one GPU on one study; None where it was not measured.
    """
    handled = part.studies_per_year * part.handled_share
    kept_gigabytes = handled * part.megabytes_per_study / 1000 * part.kept_years
    retraining = part.gpu_hours_per_retraining * part.gpu_usd_per_hour
    retraining += part.readings_per_retraining * part.usd_per_study_before
    return Cost(
        handled=handled,
        compute_usd=part.gpus * part.gpu_usd_per_hour * HOURS_A_YEAR,
        storage_usd=kept_gigabytes * part.usd_per_gigabyte_month * 12,
        retraining_usd=part.retrainings_per_year * retraining,
        gross_saving_usd=handled * (part.usd_per_study_before - part.usd_per_study_after),
        capacity_per_hour=studies_per_hour(seconds_per_study, part.gpus) if seconds_per_study else None,
    )


def seconds_of(windows: Iterable[Mapping[str, Any]], window_h: float, gpus: int) -> float | None:
    """Measured time of one GPU on one study, from a monitor's windows; None where they do not tell.

    GPUs times their mean use times the hours, over the reports of those hours.
    """
    told = [window for window in windows if window["service"]["gpu_use_mean"] is not None]
    reports = sum(window["counts"].get("reports", 0) for window in told)
    hours = window_h * sum(window["service"]["gpu_use_mean"] for window in told)
    return gpus * hours * 3600 / reports if reports and hours else None


def measured_seconds(out: Path, window_h: float, gpus: int) -> float | None:
    """`seconds_of` all windows in a monitor's folder; None where there are none.

    Raises:
        LedgerError: the log was changed.
    """
    windows = (entry for entry in Chain(out / "log.jsonl").entries() if entry["event"] == "window")
    return seconds_of(windows, window_h, gpus)


def table(part: CostPart, cost: Cost) -> list[tuple[str, str, str]]:
    """Rows of name, figure, and how it comes about."""
    rows = [
        ("Studies handled", f"{cost.handled:,.0f} a year",
         f"{part.studies_per_year:,.0f} × {part.handled_share:.0%}"),
        ("Compute", _usd(cost.compute_usd),
         f"{part.gpus} GPUs × USD {part.gpu_usd_per_hour:.2f}/h × {HOURS_A_YEAR:,.0f} h, rented all year"),
        ("Storage", _usd(cost.storage_usd),
         f"{part.megabytes_per_study:g} MB a handled study, {part.kept_years:g} years kept, "
         f"USD {part.usd_per_gigabyte_month:g}/GB-month"),
        ("Retraining", _usd(cost.retraining_usd),
         f"{part.retrainings_per_year:g} a year, {part.gpu_hours_per_retraining:g} GPU hours and "
         f"{part.readings_per_retraining:,.0f} readings each"),
        ("Cost of running", _usd(cost.total_usd), "compute + storage + retraining"),
        ("Cost per handled study", f"USD {cost.usd_per_study:.3f}", "cost of running ÷ studies handled"),
        ("Gross saving", _usd(cost.gross_saving_usd),
         f"studies handled × (USD {part.usd_per_study_before:g} − {part.usd_per_study_after:g})"),
        ("Net saving", _usd(cost.net_saving_usd), "gross saving − cost of running"),
        ("Gross saving ÷ cost", f"{cost.gross_return:.1f}×", ""),
        ("Net saving ÷ cost (ROI)", f"{cost.net_return:.1f}×", ""),
    ]  # fmt: skip
    if cost.capacity_per_hour is None:
        rows.append(("Capacity", "NOT EVALUATED", "no GPU use and latency measured in the stream"))
    else:
        peak = cost.handled / HOURS_A_YEAR * part.peak_factor
        busy = f"{peak / cost.capacity_per_hour:.0%} of it in the busiest hour"
        needed = _gpus(part, cost)
        rows += [
            ("Capacity", f"{cost.capacity_per_hour:,.0f} studies/h", f"measured; {busy} ({peak:,.0f}/h)"),
            ("GPUs that would do", f"{needed}", f"for the busiest hour, {part.peak_factor:g} × the average"),
        ]
    return rows


def _gpus(part: CostPart, cost: Cost) -> int | None:
    """How many GPUs the busiest hour needs; None: capacity was not measured."""
    if cost.capacity_per_hour is None:
        return None
    peak = cost.handled / HOURS_A_YEAR * part.peak_factor
    return max(1, math.ceil(peak / cost.capacity_per_hour * part.gpus))


def notes(part: CostPart, cost: Cost, stated: Stated = Stated()) -> list[str]:
    """Whether stated figures follow from the assumptions, and what they leave out."""
    close = abs(cost.gross_saving_usd - stated.saving_usd) <= 0.01 * stated.saving_usd
    implied = cost.gross_saving_usd / stated.return_on_cost
    rest = implied - cost.compute_usd
    ours = cost.storage_usd + cost.retraining_usd
    follows = abs(cost.gross_return - stated.return_on_cost) <= 0.5
    net_implied = cost.gross_saving_usd / (stated.return_on_cost + 1)
    verb = {True: "follows", False: "does not follow"}
    needed = _gpus(part, cost) or 0
    compute = cost.compute_usd / part.gpus * needed
    short = f"{part.gpus:g} GPUs do not suffice: {needed:,} would, and compute would be {_usd(compute)}."
    return [
        *([short] if needed > part.gpus else []),
        f"The business case states a saving of USD {stated.saving_usd / 1e6:.1f} M a year, and "
        f"{stated.return_on_cost:g}× its cost.",
        f"USD {stated.saving_usd / 1e6:.1f} M {verb[close]}: the gross saving is "
        f"{_usd(cost.gross_saving_usd)}. It is gross: the cost of running is not taken off.",
        f"{stated.return_on_cost:g}× {verb[follows]} from these assumptions: gross saving ÷ cost is "
        f"{cost.gross_return:.1f}×. It needs a yearly cost of {_usd(implied)} ({_usd(net_implied)} if net), "
        + (
            f"that is {_usd(rest)} for storage and retraining where these assumptions make it {_usd(ours)}."
            if rest > 0
            else f"which is less than compute alone ({_usd(cost.compute_usd)})."
        ),
        "Left out of both figures: integration, licences, regulatory work, monitoring staff, errors and "
        "their consequences, and readings for validation unless readings_per_retraining says so.",
    ]


def _usd(amount: float) -> str:
    return f"USD {amount:,.0f}" if amount >= 0 else f"−USD {-amount:,.0f}"
