"""What happened in a training, epoch by epoch: as a table, as a plot, and in MLflow."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from harness.training.curves import Curve, curves

STAGES: Final = ("language", "projector", "joint")
"""Stage 0, 1 and 2 by name."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch. Losses are in nats; NaN where a term was not part of the stage."""

    stage: int
    """0 language alone, 1 projection, 2 projection, language model and head."""
    epoch: int
    """From 1, in its stage."""
    step: int
    """Steps since the beginning of the stage."""
    learning_rate: float
    """Of the last step."""
    gradient_norm: float
    """Mean over the steps, before clipping."""
    train_loss: float
    """L, mean over the steps."""
    train_report_loss: float
    """Mean over the counted tokens."""
    train_detection_loss: float
    """Mean over the counted labels."""
    validation_loss: float
    validation_report_loss: float
    validation_detection_loss: float
    critical_sensitivity: float
    """Of the head on the validation studies, at a specificity of 0.9; see `critical_sensitivity`."""


@dataclass(slots=True)
class History:
    """All epochs of a training, and which of the joint stage was kept."""

    epochs: list[Epoch] = field(default_factory=list)
    kept: int | None = None
    """Number of the kept epoch of the joint stage, from 1; None while there is none."""

    def of_stage(self, stage: int) -> list[Epoch]:
        """The epochs of a stage."""
        return [epoch for epoch in self.epochs if epoch.stage == stage]

    def to_parquet(self, path: Path) -> None:
        """Writes one row an epoch, in place in one step."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = [
            {**asdict(epoch), "kept": epoch.stage == 2 and epoch.epoch == self.kept} for epoch in self.epochs
        ]
        types = {"int": pa.int64(), "float": pa.float64()}
        schema = pa.schema([*((f.name, types[str(f.type)]) for f in fields(Epoch)), ("kept", pa.bool_())])
        partial = path.with_name(f".{path.name}.partial")
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), partial)
        os.replace(partial, path)

    def plot(self) -> str:
        """SVG: losses of training and validation, and critical sensitivity, over all epochs."""
        names = [f"{STAGES[epoch.stage]} {epoch.epoch}" for epoch in self.epochs]
        kept = next((i for i, e in enumerate(self.epochs) if e.stage == 2 and e.epoch == self.kept), None)
        return curves(
            names,
            [
                Curve("report loss, training", self._series("train_report_loss"), "loss", dashed=True),
                Curve("report loss, validation", self._series("validation_report_loss"), "loss"),
                Curve("detection loss, validation", self._series("validation_detection_loss"), "loss"),
                Curve("critical sensitivity of the head", self._series("critical_sensitivity"), "share"),
            ],
            "Training history",
            kept,
        )

    def _series(self, name: str) -> list[float | None]:
        values = [getattr(epoch, name) for epoch in self.epochs]
        return [None if math.isnan(value) else value for value in values]


class Tracker:
    """Sends a training to MLflow where that is installed, to a local folder by default.

    The tracking address is MLflow's own (`MLFLOW_TRACKING_URI`); where none is set, the folder
    `mlruns` beside the training's results. Without MLflow nothing is sent, and that is said once. A
    tracking server that fails costs the training nothing: that too is said, and nothing more is sent.

    Args:
        folder: of the training.
        name: of the experiment.
        settings: parameters by name.
        say: called with a line for the reader.
        run: a run to go on with, after a kill.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        settings: dict[str, Any],
        say: Callable[[str], None],
        run: str | None = None,
    ) -> None:
        self.run = run
        self._say = say
        self._client: Any = None
        try:
            import mlflow
        except ImportError:
            say("mlflow is not installed: the history is in history.parquet and history.svg alone")
            return
        address = os.environ.get("MLFLOW_TRACKING_URI")
        if not address:
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # no database for a few numbers
            address = (folder / "mlruns").resolve().as_uri()
        with self._sending():
            self._client = mlflow.MlflowClient(tracking_uri=address)
            if self.run is None:
                found = self._client.get_experiment_by_name(name)
                experiment = found.experiment_id if found else self._client.create_experiment(name)
                self.run = self._client.create_run(experiment).info.run_id
                for key, value in settings.items():
                    self._client.log_param(self.run, key, str(value)[:500])

    @contextmanager
    def _sending(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever a store or server raises
            self._client = None
            first = str(error).strip().partition("\n")[0]
            self._say(f"mlflow: nothing more is sent ({first})")

    def log(self, epoch: Epoch, number: int) -> None:
        """One epoch's figures; those that are not defined are left out."""
        if self._client is None:
            return
        with self._sending():
            for key, value in asdict(epoch).items():
                if key not in ("stage", "epoch") and not (isinstance(value, float) and math.isnan(value)):
                    self._client.log_metric(self.run, key, float(value), step=number)

    def end(self, artifacts: Sequence[Path], failed: bool = False) -> None:
        """Ends the run, with some files."""
        if self._client is None:
            return
        with self._sending():
            for path in artifacts:
                self._client.log_artifact(self.run, str(path))
            self._client.set_terminated(self.run, "FAILED" if failed else "FINISHED")
