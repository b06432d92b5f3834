from __future__ import annotations

import importlib.util
import logging
import pickle
import shutil
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.annotators.chexbert import Chexbert
from harness.errors import NotEvaluable
from harness.report import FINDINGS, INDEX, Finding, State
from harness.suite import read_suite
from harness.testing import Oracle
from runs import SUITE, run, write_suite

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "fixtures" / "checkpoints" / "phantom-chexbert"
FILE = SHIPPED / "chexbert.pth"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="torch and transformers are not installed"
)

# As the authors' code lists its heads (constants.py, CONDITIONS).
PUBLISHED_ORDER = (
    "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation",
    "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture",
    "Support Devices", "No Finding",
)  # fmt: skip


@pytest.fixture(scope="module")
def held_out() -> tuple[list[str], Any]:
    """Phantom reports of a seed that was not trained on, and what they state, (n, 14)."""
    path = ROOT / "fixtures" / "train_chexbert.py"
    spec = importlib.util.spec_from_file_location("train_chexbert", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["train_chexbert"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pairs = list(islice(module.described(module.SEED + 1), 200))
    stated = [[int(states[finding]) for finding in FINDINGS] for _, states in pairs]
    return [text for text, _ in pairs], np.array(stated)


@pytest.fixture(scope="module")
def labeler() -> Chexbert:
    return Chexbert(str(FILE))


@pytest.fixture(autouse=True)
def nothing_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "no-cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def copied(folder: Path) -> Path:
    shutil.copytree(SHIPPED, folder / "copy")
    return folder / "copy" / "chexbert.pth"


def test_it_labels_held_out_phantom_reports(held_out: Any, labeler: Chexbert) -> None:
    texts, stated = held_out
    found = labeler.label(texts)
    assert found.dtype == np.int8
    assert found.shape == (200, 14)
    assert (found == stated).mean() > 0.97
    for finding in (Finding.LUNG_LESION, Finding.LUNG_OPACITY, Finding.NO_FINDING):
        assert (found == stated)[:, INDEX[finding]].mean() > 0.95


def test_the_structure_is_the_published_one() -> None:
    import torch

    saved = torch.load(FILE, weights_only=True)
    state = saved["model_state_dict"]
    assert all(key.startswith(("module.bert.", "module.linear_heads.")) for key in state)
    classes = [len(state[f"module.linear_heads.{head}.bias"]) for head in range(14)]
    assert classes == [4] * 13 + [2]
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*")) < 1_000_000


def test_heads_are_in_the_published_order(tmp_path: Path) -> None:
    """Each head in turn is made to say one class, whatever the text."""
    import torch

    file = copied(tmp_path)
    saved = torch.load(file, weights_only=True)
    state = saved["model_state_dict"]
    for head, name in enumerate(PUBLISHED_ORDER):
        weights = {key: value.clone() for key, value in state.items()}
        for other in range(14):
            weights[f"module.linear_heads.{other}.weight"].zero_()
            bias = weights[f"module.linear_heads.{other}.bias"]
            bias.zero_()
            bias[0] = 1
            if other == head:
                bias[1] = 2
        torch.save({**saved, "model_state_dict": weights}, file)
        (labels,) = Chexbert(str(file)).label(["The lungs are clear."])
        said = [str(finding) for finding in FINDINGS if labels[INDEX[finding]] == State.POSITIVE]
        assert said == [name]
        assert (labels != State.POSITIVE).sum() == (labels == State.NOT_MENTIONED).sum() == 13


def test_a_bare_state_dict_without_prefix_loads_too(tmp_path: Path, held_out: Any, labeler: Any) -> None:
    import torch

    file = copied(tmp_path)
    state = torch.load(file, weights_only=True)["model_state_dict"]
    plain = {key.removeprefix("module."): value.float() for key, value in state.items()}
    plain["bert.embeddings.position_ids"] = torch.arange(512)[None]
    torch.save(plain, file)
    texts = held_out[0][:20]
    np.testing.assert_array_equal(Chexbert(str(file)).label(texts), labeler.label(texts))


def test_order_company_and_repetition_change_nothing(held_out: Any, labeler: Chexbert) -> None:
    texts = held_out[0][:60]
    together = labeler.label(texts)
    order = np.random.default_rng(0).permutation(60)
    np.testing.assert_array_equal(labeler.label([texts[index] for index in order]), together[order])
    np.testing.assert_array_equal(labeler.label(texts[:1] * 2), together[[0, 0]])


def test_a_batch_is_read_as_each_report_alone_without_padding(held_out: Any, labeler: Chexbert) -> None:
    """Against the network called on one unpadded report, as the authors' code would read it."""
    import torch

    from harness.annotators.chexbert_model import HEADS

    texts = held_out[0][:40]
    found = labeler.label(texts)
    for text, labels in zip(texts, found, strict=True):
        ids = torch.tensor([labeler._tokenizer(" ".join(text.split()))["input_ids"]])
        with torch.no_grad():
            logits = labeler._network(ids, torch.ones_like(ids))
        for finding, head in zip(HEADS, logits, strict=True):
            assert labels[INDEX[finding]] == head.argmax()


@pytest.mark.parametrize("text", ["", " \n\t", "\u2003"])
def test_an_empty_text_mentions_nothing(labeler: Chexbert, text: str) -> None:
    assert (labeler.label([text, "Normal chest radiograph."])[0] == State.NOT_MENTIONED).all()
    assert labeler.label([]).shape == (0, 14)


@pytest.mark.parametrize("text", ["\ud800", "\x00", "\u202eabc", "心臓", "x" * 20_000, "<script>", "a\r\nb"])
def test_odd_texts_do_not_stop_it(labeler: Chexbert, text: str) -> None:
    assert labeler.label([text]).shape == (1, 14)


def test_a_long_report_is_windowed_and_said(
    held_out: Any, labeler: Chexbert, caplog: pytest.LogCaptureFixture
) -> None:
    from harness.annotators.chexbert_model import joined

    texts, stated = held_out
    column = INDEX[Finding.PNEUMOTHORAX]
    last = texts[int(np.flatnonzero(stated[:, column] == State.POSITIVE)[0])]
    filler = "The lungs are clear. " * 102  # 510 pieces: one window to the last
    with caplog.at_level(logging.WARNING):
        alone, short, long = labeler.label([last, filler, filler + last])
    assert alone[column] == long[column] == State.POSITIVE != short[column]
    np.testing.assert_array_equal(long, joined(np.stack([short, alone])))
    assert "1 of 3 reports are longer than 512 wordpieces and were read in windows" in caplog.text
    assert last not in caplog.text


def test_what_any_window_states_counts() -> None:
    from harness.annotators.chexbert_model import joined

    def codes(**states: State) -> Any:
        row = np.zeros(14, dtype=np.int8)
        for name, state in states.items():
            row[INDEX[Finding[name]]] = state
        return row

    normal = codes(NO_FINDING=State.POSITIVE, EDEMA=State.NEGATIVE)
    device = codes(NO_FINDING=State.POSITIVE, SUPPORT_DEVICES=State.POSITIVE)
    unsure = codes(EDEMA=State.UNCERTAIN)
    np.testing.assert_array_equal(
        joined(np.stack([normal, device])),
        codes(NO_FINDING=State.POSITIVE, EDEMA=State.NEGATIVE, SUPPORT_DEVICES=State.POSITIVE),
    )
    np.testing.assert_array_equal(joined(np.stack([normal, unsure])), unsure)
    both = codes(EDEMA=State.POSITIVE)
    np.testing.assert_array_equal(joined(np.stack([unsure, both, normal])), both)
    np.testing.assert_array_equal(joined(normal[None]), normal)


def test_windows_end_with_a_sentence_and_lose_nothing() -> None:
    from harness.annotators.chexbert import _windows

    pieces = [*range(10, 30), 1, *range(30, 45), 1, *range(45, 200)]
    windows = list(_windows(pieces, 40, stop=1))
    assert [piece for window in windows for piece in window] == pieces
    assert max(map(len, windows)) <= 40
    assert windows[0][-1] == 1
    assert len(windows[0]) == 37
    assert list(_windows([], 40, stop=1)) == []


def test_missing_weights_tell_how_to_get_them(tmp_path: Path) -> None:
    for labeler in (Chexbert(), Chexbert(str(tmp_path / "absent.pth"))):
        with pytest.raises(NotEvaluable) as caught:
            labeler.signature()
        first, with_network, without = str(caught.value).split("\n")
        assert "no CheXbert checkpoint" in first
        assert "hf download StanfordAIMI/RRG_scorers chexbert.pth" in with_network
        assert "labeler: {annotator: chexbert, options: {path: FILE}}" in without
        assert caught.value.exit_code == 3


def test_a_missing_encoder_tells_how_to_get_it(tmp_path: Path) -> None:
    file = copied(tmp_path)
    shutil.rmtree(file.parent / "encoder")
    with pytest.raises(NotEvaluable, match="no base encoder"):
        Chexbert(str(file)).signature()
    (file.parent / "encoder").mkdir()
    (file.parent / "encoder" / "config.json").write_text("[]")
    with pytest.raises(NotEvaluable, match="not a BERT's configuration"):
        Chexbert(str(file)).signature()
    (file.parent / "encoder" / "config.json").write_text("{}")
    with pytest.raises(NotEvaluable, match=r"no whole base encoder|cannot be loaded as CheXbert"):
        Chexbert(str(file)).label(["Normal."])


def test_a_checkpoint_fetched_from_the_hub_is_found(tmp_path: Path, held_out: Any, labeler: Any) -> None:
    for repository, source in (("someone/weights", FILE), ("bert-base-uncased", SHIPPED / "encoder")):
        root = tmp_path / "no-cache" / f"models--{repository.replace('/', '--')}"
        (root / "refs").mkdir(parents=True)
        (root / "refs" / "main").write_text("0" * 40)
        snapshot = root / "snapshots" / ("0" * 40)
        snapshot.mkdir(parents=True)
        for file in [source] if source.is_file() else source.iterdir():
            shutil.copy(file, snapshot)
    fetched = Chexbert("hub:someone/weights/chexbert.pth")
    assert fetched.signature() == labeler.signature()
    texts = held_out[0][:10]
    np.testing.assert_array_equal(fetched.label(texts), labeler.label(texts))


class _Harm:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("/tmp/harm-of-a-chexbert"),))  # noqa: S108


@pytest.mark.parametrize("damage", ["cut", "pickle", "other"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: str) -> None:
    import torch

    file = copied(tmp_path)
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:5000])
    elif damage == "pickle":
        file.write_bytes(pickle.dumps(_Harm()))
    else:
        torch.save({"model_state_dict": {"module.bert.x": torch.zeros(1)}}, file)
    with pytest.raises(NotEvaluable, match="cannot be loaded as CheXbert"):
        Chexbert(str(file)).label(["Normal."])
    assert not Path("/tmp/harm-of-a-chexbert").exists()  # noqa: S108


def test_another_checkpoint_has_another_signature(tmp_path: Path, labeler: Chexbert) -> None:
    import torch

    file = copied(tmp_path)
    assert Chexbert(str(file)).signature() == labeler.signature()
    assert labeler.signature().startswith("chexbert@sha256:")
    saved = torch.load(file, weights_only=True)
    saved["model_state_dict"]["module.linear_heads.0.bias"][0] += 1
    torch.save(saved, file)
    assert Chexbert(str(file)).signature() != labeler.signature()


def test_a_suite_names_it_with_its_path(tmp_path: Path, phantom_root: Path, cases: Any) -> None:
    named = f"labeler: {{annotator: chexbert, options: {{path: {FILE}}}}}\nmeasures:"
    suite = write_suite(tmp_path, SUITE.replace("measures:", named))
    ledger = run(suite, phantom_root, Oracle(cases), tmp_path / "run")
    assert ledger.identity["labeler"] == Chexbert(str(FILE)).signature()
    rows = ledger.read("rows").to_pylist()
    truth = {case.study.study_id: case.reference.labels.tolist() for case in cases}
    right = [np.equal(row["candidate_labels"], truth[row["study_id"]]).mean() for row in rows]
    assert np.mean(right) > 0.9


def test_a_run_without_its_weights_is_not_evaluated(tmp_path: Path, phantom_root: Path, cases: Any) -> None:
    suite = write_suite(tmp_path, SUITE.replace("measures:", "labeler: chexbert\nmeasures:"))
    with pytest.raises(NotEvaluable, match="no CheXbert checkpoint"):
        run(suite, phantom_root, Oracle(cases), tmp_path / "run")


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("chexbrt", "labeler: chexbrt: no such annotator; did you mean chexbert"),
        (
            "{annotator: chexbert, options: {pth: x}}",
            "labeler.options.pth: unknown option; did you mean path",
        ),
        (
            "{annotator: chexbert, options: {path: 'hub:x'}}",
            "labeler.options: path must be a file, or read hub:",
        ),
    ],
)
def test_bad_suites(tmp_path: Path, named: str, message: str) -> None:
    suite = write_suite(tmp_path, SUITE.replace("measures:", f"labeler: {named}\nmeasures:"))
    with pytest.raises(Exception, match=message):
        read_suite(suite)
