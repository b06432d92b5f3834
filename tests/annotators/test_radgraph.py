from __future__ import annotations

import importlib.util
import json
import logging
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.annotators.base import EMPTY_GRAPH
from harness.annotators.radgraph import PhantomRadGraph, RadGraph
from harness.annotators.radgraph_weights import MODELS, Checkpoint
from harness.conclude import conclude
from harness.errors import NotEvaluable
from harness.gate import judge
from harness.suite import read_suite
from harness.testing import ConstantReport, Damage, Oracle, Saboteur
from runs import run, write_suite

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "fixtures" / "checkpoints" / "phantom-radgraph"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("radgraph") is None, reason="the radgraph package is not installed"
)


@pytest.fixture(scope="module")
def training() -> Any:
    """The training script, as a module."""
    spec = importlib.util.spec_from_file_location("train_radgraph", ROOT / "fixtures" / "train_radgraph.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["train_radgraph"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def annotator() -> RadGraph:
    return PhantomRadGraph()


@pytest.fixture(autouse=True)
def no_weights_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing fetched before is found, and nothing is fetched."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no-cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def in_package_format(model: str, root: Path) -> Path:
    """The shipped checkpoint as the package looks for it: by model type, its encoder by full path."""
    folder = root / model
    shutil.copytree(SHIPPED, folder)
    config = json.loads((folder / "config.json").read_text())
    for part in (
        config["dataset_reader"]["token_indexers"]["bert"],
        config["model"]["embedder"]["token_embedders"]["bert"],
    ):
        part["model_name"] = str(folder / "encoder")
    (folder / "config.json").write_text(json.dumps(config))
    for file in (folder / "vocabulary").glob("radgraph-xl__*"):
        file.rename(file.with_name(file.name.replace("radgraph-xl", model)))
    import torch

    state = torch.load(folder / "weights.th", weights_only=True)
    renamed = {key.replace("radgraph-xl__", f"{model}__"): value for key, value in state.items()}
    torch.save(renamed, folder / "weights.th")
    return folder


ODD = [
    "No.",
    "x",
    "Hello wörld ’’ <script>alert(1)</script> 8.1 cm (mild).",
    "/. /? ok",
    "心臓 は 正常 です。",
    "\u202eThe lungs are clear",
    "The\x00 lungs\r\nare clear",
    "90%. 5%) 3%, (x). ' .'",
    '\\n \\"quoted\\" \\f',
]


def test_it_parses_held_out_phantom_reports(training: Any, annotator: RadGraph) -> None:
    texts, truth = training.held_out(300)
    entities, relations = training.f1(annotator.annotate(texts), truth)
    assert entities >= 0.9
    assert relations >= 0.9


def test_the_checkpoint_is_small_and_says_what_it_is(annotator: RadGraph) -> None:
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*")) < 3_000_000
    assert json.loads((SHIPPED / "config.json").read_text())["trained"]["seed"] == 20_261_000
    assert "not the published model" in annotator.signature()
    assert "@sha256:" in annotator.signature()


@pytest.mark.parametrize("model", MODELS)
def test_graphs_are_those_of_the_package(model: Any, training: Any, tmp_path: Path) -> None:
    import radgraph

    texts, _ = training.held_out(12)
    texts = [*texts, *ODD, " ".join(texts)]  # the last is longer than the encoder
    folder = in_package_format(model, tmp_path)
    theirs = radgraph.RadGraph(model_type=model, model_cache_dir=str(tmp_path), cuda=-1)(texts)
    ours = RadGraph(model, str(folder)).annotate(texts)
    assert sum(len(graph["entities"]) for graph in ours if graph) > 150
    for number, graph in enumerate(ours):
        assert graph == {key: theirs[str(number)][key] for key in ("text", "entities")}


def test_graphs_are_those_of_the_package_with_another_kind_of_encoder(tmp_path: Path) -> None:
    """ModernBERT with byte-level pieces and no window, random weights: labels at the edge of chance."""
    import radgraph
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import ModernBertConfig, PreTrainedTokenizerFast

    from harness.annotators.radgraph_model import build_dygie

    folder = in_package_format("modern-radgraph-xl", tmp_path)
    texts = ["No effusion, small (8.1 cm) ill-defined mass.", "The  lungs are clear.", "Normal."]
    bytes_ = Tokenizer(models.BPE(unk_token="[UNK]"))  # noqa: S106 - a piece, not a password
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_.decoder = decoders.ByteLevel()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet)
    bytes_.train_from_iterator(texts, trainer)
    bytes_.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    shutil.rmtree(folder / "encoder")
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=bytes_, **names).save_pretrained(folder / "encoder")
    ModernBertConfig(
        vocab_size=bytes_.get_vocab_size(), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=256, pad_token_id=0, reference_compile=False,
    ).save_pretrained(folder / "encoder")  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    for part in (
        config["dataset_reader"]["token_indexers"]["bert"],
        config["model"]["embedder"]["token_embedders"]["bert"],
    ):
        part["max_length"] = None
    (folder / "config.json").write_text(json.dumps(config))
    torch.manual_seed(1)
    network, _ = build_dygie(Checkpoint(folder, folder / "encoder"))
    torch.save(network.state_dict(), folder / "weights.th")
    package = radgraph.RadGraph(model_type="modern-radgraph-xl", model_cache_dir=str(tmp_path), cuda=-1)
    theirs = package(texts)
    ours = RadGraph("modern-radgraph-xl", str(folder)).annotate(texts)
    assert all(graph and graph["entities"] for graph in ours)
    for number, graph in enumerate(ours):
        assert graph == {key: theirs[str(number)][key] for key in ("text", "entities")}


def test_order_company_and_repetition_change_nothing(training: Any, annotator: RadGraph) -> None:
    texts, _ = training.held_out(40)
    together = annotator.annotate(texts)
    order = np.random.default_rng(0).permutation(40)
    assert annotator.annotate([texts[index] for index in order]) == [together[index] for index in order]
    assert [annotator.annotate([text])[0] for text in texts[:5]] == together[:5]
    assert annotator.annotate([texts[0]] * 3) == [together[0]] * 3


def test_texts_without_words_and_damaged_ones(annotator: RadGraph) -> None:
    assert annotator.annotate(["", " \n\t", "\u2003"]) == [EMPTY_GRAPH] * 3
    assert annotator.annotate([]) == []
    (graph,) = annotator.annotate(["No effusion \ud800."])
    assert graph is not None
    assert "effusion" in graph["text"]


def test_a_long_report_is_read_whole_in_windows_and_it_is_said(
    annotator: RadGraph, caplog: pytest.LogCaptureFixture
) -> None:
    sentence = "There is a small left pleural effusion. "
    with caplog.at_level(logging.WARNING):
        short, long = annotator.annotate([sentence * 2, sentence * 270])  # 2,160 words
    assert short is not None
    assert long is not None
    assert len(long["text"].split()) == 2160
    assert "1 of 2 reports are longer than 512 wordpieces and were read in windows" in caplog.text
    assert "effusion" not in caplog.text
    words = long["text"].split()
    found = [item for item in long["entities"].values() if item["tokens"] == "effusion"]
    assert len(found) == 270
    for item in long["entities"].values():
        assert " ".join(words[item["start_ix"] : item["end_ix"] + 1]) == item["tokens"]
        assert all(target in long["entities"] for _, target in item["relations"])


# Weights that are missing or damaged


def test_missing_weights_tell_how_to_get_them(tmp_path: Path) -> None:
    for annotator in (RadGraph(), RadGraph(path=str(tmp_path))):
        with pytest.raises(NotEvaluable) as caught:
            annotator.signature()
        first, with_network, without = str(caught.value).split("\n")
        assert "no weights of radgraph-xl" in first
        assert "radgraph.RadGraph(model_type='radgraph-xl')" in with_network
        assert "options: {model: radgraph-xl, path: FOLDER}" in without
        assert caught.value.exit_code == 3


def test_a_missing_base_encoder_tells_how_to_get_it(tmp_path: Path) -> None:
    folder = in_package_format("radgraph-xl", tmp_path)
    shutil.rmtree(folder / "encoder")
    config = (folder / "config.json").read_text().replace(str(folder / "encoder"), "someone/some-bert")
    (folder / "config.json").write_text(config)
    with pytest.raises(NotEvaluable, match=r"no base encoder someone/some-bert(?s:.*)hf download someone/"):
        RadGraph(path=str(folder)).signature()


def test_weights_where_the_package_keeps_them_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.annotators.radgraph_weights.cache_folder", lambda: tmp_path)
    in_package_format("radgraph-xl", tmp_path)
    assert RadGraph().annotate(["No effusion."])[0]
    assert not list((tmp_path / "radgraph-xl" / "vocabulary").glob(".lock"))


class _Harm:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("/tmp/harm-of-a-pickle"),))  # noqa: S108


@pytest.mark.parametrize("damage", ["cut", "pickle", "other", "labels", "config"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: str) -> None:
    import torch

    folder = in_package_format("radgraph-xl", tmp_path)
    weights = folder / "weights.th"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "pickle":
        weights.write_bytes(pickle.dumps(_Harm()))
    elif damage == "other":
        torch.save({"a": torch.zeros(1)}, weights)
    elif damage == "labels":
        (folder / "vocabulary" / "non_padded_namespaces.txt").unlink()
    else:
        (folder / "config.json").write_text("{}")
    with pytest.raises(NotEvaluable, match=r"cannot be loaded as radgraph-xl|not a whole RadGraph"):
        RadGraph(path=str(folder)).annotate(["No effusion."])
    assert not Path("/tmp/harm-of-a-pickle").exists()  # noqa: S108


def test_bad_options() -> None:
    with pytest.raises(ValueError, match="model must be one of radgraph, radgraph-xl, modern"):
        RadGraph(model="radgraf")  # type: ignore[arg-type]


# In suites and runs

SUITE = """\
name: graphs
version: 1
cohort: {split: test, studies: 40}
inference: {replicates: 200, seed: 1}
labeler: rules
graphs: GRAPHS
measures: [failure_rate, radgraph_f1, radgraph_entity_relation_f1]
criteria:
  - {id: failures, measure: failure_rate, below: 0.5}
  - {id: graphs, measure: radgraph_f1, at_least: 0.5}
"""


def suite_with(folder: Path, graphs: str) -> Path:
    folder.mkdir(exist_ok=True)
    return write_suite(folder, SUITE.replace("GRAPHS", graphs))


def values(ledger: Any) -> dict[tuple[str, str], Any]:
    return {(e["measure"], e["value"]): e for e in ledger.results()["estimates"] if e["slice"] is None}


def test_a_run_with_the_phantoms_checkpoint(tmp_path: Path, phantom_root: Path, cases: Any) -> None:
    suite = suite_with(tmp_path, "radgraph-phantom")
    ledger = run(suite, phantom_root, Oracle(cases), tmp_path / "oracle")
    found = values(ledger)
    assert found["radgraph_f1", "value"]["estimate"] == 1
    assert found["radgraph_f1", "pooled"]["estimate"] == 1
    signature = found["radgraph_f1", "value"]["signature"]
    assert signature.startswith(
        "radgraph_f1|partial|case:0.1.18|v1|graphs:phantom-radgraph (not the published"
    )
    assert ledger.identity["graphs"] in signature
    damaged = Saboteur(cases, Damage(swap_sides=1.0, fail=0.2, seed=3))
    less = values(run(suite, phantom_root, damaged, tmp_path / "less", workers=2))
    assert 0 < less["radgraph_f1", "value"]["estimate"] < 0.8
    assert less["radgraph_f1", "value"]["n_studies"] == 40
    decided = {item.id: item.status for item in judge(tmp_path / "less")[1].decisions}
    assert decided["graphs"] in ("PASS", "FAIL")
    again = run(suite, phantom_root, damaged, tmp_path / "again", workers=1)
    assert (
        again.results()["ledger"] == run(suite, phantom_root, damaged, tmp_path / "less").results()["ledger"]
    )


def test_without_weights_its_values_are_not_evaluated_and_the_rest_is(
    tmp_path: Path, phantom_root: Path, cases: Any
) -> None:
    ledger = run(suite_with(tmp_path, "radgraph"), phantom_root, Oracle(cases), tmp_path / "run")
    found = values(ledger)
    assert found["failure_rate", "value"]["estimate"] == 0
    for key in (("radgraph_f1", "value"), ("radgraph_entity_relation_f1", "pooled")):
        assert found[key]["estimate"] is None
        assert "radgraph.RadGraph(model_type='radgraph-xl')" in found[key]["reason"]
        assert found[key]["signature"].endswith("|graphs:missing")
    results, verdict = judge(tmp_path / "run")
    statuses = {item.id: item.status for item in verdict.decisions}
    assert statuses == {"failures": "PASS", "graphs": "NOT EVALUATED"}
    assert verdict.status == "NOT EVALUATED"
    assert results["estimates"] == conclude(ledger, read_suite(tmp_path / "suite.yaml"))["estimates"]


def test_weights_that_came_later_make_another_run(
    tmp_path: Path, phantom_root: Path, cases: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = suite_with(tmp_path, "radgraph")
    run(suite, phantom_root, Oracle(cases), tmp_path / "run")
    monkeypatch.setattr("harness.annotators.radgraph_weights.cache_folder", lambda: tmp_path / "cache")
    in_package_format("radgraph-xl", tmp_path / "cache")
    with pytest.raises(Exception, match="holds another run; different: graphs, graphs_missing"):
        run(suite, phantom_root, Oracle(cases), tmp_path / "run")


def test_the_phantoms_checkpoint_judges_no_other_cohort(
    tmp_path: Path, phantom_root: Path, cases: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.cohorts.phantom.PhantomCohort.name", "real")
    ledger = run(suite_with(tmp_path, "radgraph-phantom"), phantom_root, Oracle(cases), tmp_path / "run")
    item = values(ledger)["radgraph_f1", "value"]
    assert item["estimate"] is None
    assert "knows only the language of phantom cohorts" in item["reason"]


def test_graphs_made_elsewhere_need_no_weights(tmp_path: Path, phantom_root: Path, cases: Any) -> None:
    constant = ConstantReport("The lungs are clear.")
    texts = [constant.findings, *(case.reference.text for case in cases)]
    graphs = dict(enumerate(PhantomRadGraph().annotate(texts)))
    (tmp_path / "graphs.json").write_text(json.dumps(graphs))
    source = f"{{annotator: radgraph-json, options: {{path: {tmp_path / 'graphs.json'}}}}}"
    ours = values(run(suite_with(tmp_path / "a", source), phantom_root, constant, tmp_path / "files"))
    theirs = values(
        run(suite_with(tmp_path / "b", "radgraph-phantom"), phantom_root, constant, tmp_path / "model")
    )
    key = ("radgraph_f1", "value")
    assert ours[key]["estimate"] == theirs[key]["estimate"] > 0
    del graphs[0]
    (tmp_path / "graphs.json").write_text(json.dumps(graphs))
    ours = values(run(suite_with(tmp_path / "c", source), phantom_root, constant, tmp_path / "fewer"))
    assert ours[key]["estimate"] is None
    assert ours[key]["reason"] == "40 studies have a report without a graph; every report needs one"


def test_a_second_run_asks_the_network_nothing(
    tmp_path: Path, phantom_root: Path, cases: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = suite_with(tmp_path, "radgraph-phantom")
    kept = {"annotations": tmp_path / "kept"}
    first = run(suite, phantom_root, Oracle(cases), tmp_path / "first", **kept)
    monkeypatch.setattr(RadGraph, "annotate", lambda self, texts: pytest.fail("asked again"))
    second = run(suite, phantom_root, Oracle(cases), tmp_path / "second", **kept)
    assert first.results()["ledger"] == second.results()["ledger"]


@pytest.mark.parametrize(
    ("graphs", "message"),
    [
        ("radgraf", r":6:1: graphs: radgraf: no such annotator; did you mean radgraph"),
        ("rules", r":6:1: graphs: rules makes labels, not graphs"),
        ("{annotator: radgraph, options: {modle: x}}", r":6:\d+: graphs.options.modle: unknown option; did"),
        ("{annotator: radgraph, options: {model: x}}", r":6:\d+: graphs.options: model must be one of"),
        ("{annotater: radgraph}", r":6:\d+: graphs.annotater: unknown key; did you mean annotator"),
        ("null", r":7:\d+: measures\[1\]: radgraph_f1 needs graphs; say who makes them"),
    ],
)
def test_bad_suites(tmp_path: Path, graphs: str, message: str) -> None:
    with pytest.raises(Exception, match=message):
        read_suite(suite_with(tmp_path, graphs))


def test_a_graph_annotator_is_no_labeler(tmp_path: Path) -> None:
    text = SUITE.replace("GRAPHS", "radgraph").replace("labeler: rules", "labeler: radgraph")
    with pytest.raises(Exception, match="labeler: radgraph makes graphs, not labels"):
        read_suite(write_suite(tmp_path, text))
