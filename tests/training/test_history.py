import sys
import xml.etree.ElementTree as ET

import pyarrow.parquet as pq
import pytest

from harness.training.history import Epoch, History, Tracker

NAN = float("nan")


def epoch(stage, number, loss, detection=NAN, sensitivity=NAN):
    return Epoch(
        stage,
        number,
        10 * number,
        1e-3,
        0.5,
        loss,
        loss,
        detection,
        loss + 0.1,
        loss + 0.1,
        detection,
        sensitivity,
    )


@pytest.fixture
def history():
    return History(
        [epoch(0, 1, 3.0), epoch(1, 1, 2.0), epoch(2, 1, 1.0, 0.4, 0.7), epoch(2, 2, 0.9, 0.3, 0.8)], 2
    )


def test_the_table_holds_every_epoch_and_which_was_kept(history, tmp_path):
    history.to_parquet(tmp_path / "h.parquet")
    table = pq.read_table(tmp_path / "h.parquet").to_pandas()
    assert table["validation_loss"].tolist() == pytest.approx([3.1, 2.1, 1.1, 1.0])
    assert table["kept"].tolist() == [False, False, False, True]
    assert table["train_detection_loss"].isna().tolist() == [True, True, False, False]
    assert [path.name for path in tmp_path.iterdir()] == ["h.parquet"]


def test_the_plot_is_svg_and_says_its_numbers(history):
    root = ET.fromstring(history.plot())
    assert root.tag.endswith("svg")
    told = root.find("{http://www.w3.org/2000/svg}desc").text
    assert "report loss, validation: 3.100, 2.100, 1.100, 1.000" in told
    assert "critical sensitivity of the head: none, none, 0.700, 0.800" in told
    ET.fromstring(History().plot())


def test_mlflow_gets_every_epoch_and_goes_on_with_the_same_run(history, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    said = []
    first = Tracker(tmp_path, "x", {"seed": 7}, said.append)
    first.log(history.epochs[0], 1)
    second = Tracker(tmp_path, "x", {"seed": 7}, said.append, first.run)
    for number, one in enumerate(history.epochs[1:], 2):
        second.log(one, number)
    (tmp_path / "history.svg").write_text(history.plot())
    second.end([tmp_path / "history.svg"])
    client = mlflow.MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("x").experiment_id])
    assert (run.info.status, run.data.params["seed"]) == ("FINISHED", "7")
    values = [metric.value for metric in client.get_metric_history(run.info.run_id, "validation_loss")]
    assert values == pytest.approx([3.1, 2.1, 1.1, 1.0])
    assert len(client.get_metric_history(run.info.run_id, "critical_sensitivity")) == 2
    assert [artifact.path for artifact in client.list_artifacts(run.info.run_id)] == ["history.svg"]
    assert said == []


def test_without_mlflow_it_is_said_once_and_nothing_else_happens(history, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    said = []
    tracker = Tracker(tmp_path, "x", {}, said.append)
    tracker.log(history.epochs[0], 1)
    tracker.end([])
    assert said == ["mlflow is not installed: the history is in history.parquet and history.svg alone"]
    assert list(tmp_path.iterdir()) == []


def test_a_tracking_server_that_fails_costs_the_training_nothing(history, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")
    said = []
    tracker = Tracker(tmp_path, "x", {}, said.append)
    tracker.log(history.epochs[0], 1)
    tracker.end([])
    assert len(said) == 1
    assert said[0].startswith("mlflow: nothing more is sent")
