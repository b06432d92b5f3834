import csv
import gzip
import io
import json
import subprocess
import sys

import numpy as np
import pytest

from harness.cli import main
from harness.measures.bleu import Bleu4
from harness.measures.names import named_measure
from harness.measures.rouge import RougeL
from harness.score import Pair, score
from real_reports import FOLDER, WHY_NOT
from report_texts import AWKWARD, pairs, value

REFERENCES = [
    "Small left pleural effusion. No pneumothorax.",
    "The heart is enlarged. There is pulmonary edema.",
    "No acute disease.",
    "Right upper lobe pneumonia.",
    "The lungs are clear. No effusion.",
    "Old healed rib fracture.",
]
HYPOTHESES = [
    "Left pleural effusion. No pneumothorax is seen.",
    "The heart is mildly enlarged.",
    "No acute disease.",
    "Right lower lobe pneumonia.",
    "",
    "No acute disease.",
]


def table(path, texts, text="text", name="id", **more):
    """A CSV or JSONL file of texts with ids s0, s1 ..."""
    rows = [{name: f"s{k}", text: each} for k, each in enumerate(texts)]
    for column, values in more.items():
        rows = [{**row, column: each} for row, each in zip(rows, values, strict=True)]
    if ".jsonl" in path.name:
        content = "".join(json.dumps(row) + "\n" for row in rows)
    else:
        stream = io.StringIO()
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
        content = stream.getvalue()
    data = content.encode("utf-8", "surrogatepass")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.fixture
def files(tmp_path):
    return table(tmp_path / "h.csv", HYPOTHESES), table(tmp_path / "r.jsonl", REFERENCES)


def run(capsys, *arguments):
    code = main(["score", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def scored(capsys, *arguments):
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    return {item["measure"]: item for item in json.loads(out)}


def test_two_files_joined_by_id(files, capsys):
    hypotheses, references = files
    rows = hypotheses.read_text().splitlines(keepends=True)
    hypotheses.write_text("".join([rows[0], *reversed(rows[1:])]))  # the order of rows does not matter
    found = scored(
        capsys,
        "--hypotheses",
        hypotheses,
        "--references",
        references,
        "--measures",
        "bleu4.coco,rougeL.google",
    )
    some = pairs(HYPOTHESES, REFERENCES)
    assert list(found) == ["bleu4.coco", "rougeL.google"]
    assert found["bleu4.coco"]["value"] == pytest.approx(value(Bleu4(), some)[0])
    rouge = found["rougeL.google"]
    assert rouge["value"] == pytest.approx(value(RougeL(), some)[0])
    assert rouge["low"] is rouge["high"] is None
    assert "nearly all variation comes from" in rouge["reason"], "six texts carry no interval"
    assert rouge["n"] == rouge["clusters"] == 6
    assert rouge["signature"] == RougeL().signature()
    assert rouge["empty_hypotheses"] == 1
    assert {"measure", "signature", "value", "low", "high", "n"} <= rouge.keys()


def test_the_table_says_what_was_done(files, capsys):
    code, out, _ = run(
        capsys, "--hypotheses", files[0], "--references", files[1],
        "--measures", "bleu4,failure_rate,degenerate_output,findings_f1",
    )  # fmt: skip
    assert code == 0
    for words in (
        Bleu4().signature(),
        "6 texts in 6 clusters",
        "1 hypotheses are empty: scored as failures, none left out",
        "1 / 6",
        "degenerate_output.most-common",
        "none: a resample repeats studies",
        "|references:labeler",
    ):
        assert words in out


def test_defaults_are_those_of_the_shipped_suites(files, capsys):
    found = scored(capsys, "--hypotheses", files[0], "--references", files[1])
    assert [item["signature"] for item in found.values()] == [Bleu4().signature(), RougeL().signature()]


def test_labels_are_the_rule_based_labelers(files, capsys):
    names = "findings_f1,critical_sensitivity,negation_flips"
    found = scored(capsys, "--hypotheses", files[0], "--references", files[1], "--measures", names)
    assert found["critical_sensitivity.Pleural Effusion"]["value"] == 1
    assert found["critical_sensitivity.Pleural Effusion"]["denominator"] == 1
    assert found["findings_f1.Edema"]["value"] == 0
    assert found["findings_f1.Pneumothorax"]["value"] is None
    assert found["findings_f1.Pneumothorax"]["reason"]
    assert "|rules|v" in found["negation_flips"]["signature"]


def test_clusters_widen_the_interval(tmp_path, capsys):
    many = 20
    hypotheses = table(tmp_path / "h.csv", HYPOTHESES * many)
    references = table(tmp_path / "r.csv", REFERENCES * many, patient=[f"p{k % 6}" for k in range(6 * many)])
    files = ("--hypotheses", hypotheses, "--references", references, "--measures", "failure_rate")
    own, few = scored(capsys, *files), scored(capsys, *files, "--cluster", "patient")
    assert own["failure_rate"]["value"] == few["failure_rate"]["value"] == pytest.approx(1 / 6)
    assert (own["failure_rate"]["clusters"], few["failure_rate"]["clusters"]) == (120, 6)
    assert few["failure_rate"]["high"] > 2 * own["failure_rate"]["high"]


def test_two_columns_of_one_file(tmp_path, capsys):
    path = table(tmp_path / "both.csv", HYPOTHESES, text="model", truth=REFERENCES, who=list("aabbcc"))
    columns = ("--hypothesis", "model", "--reference", "truth")
    found = scored(capsys, "--hypotheses", path, *columns)
    again = scored(capsys, "--references", path, *columns, "--id", "id")
    assert again["bleu4.coco"]["value"] == found["bleu4.coco"]["value"]
    assert found["bleu4.coco"]["value"] == pytest.approx(value(Bleu4(), pairs(HYPOTHESES, REFERENCES))[0])
    assert scored(capsys, "--hypotheses", path, *columns, "--cluster", "who")["bleu4.coco"]["clusters"] == 3


def test_columns_by_name_and_compressed_files(tmp_path, capsys):
    hypotheses = table(tmp_path / "h.jsonl.gz", HYPOTHESES, text="answer", name="uid")
    references = table(tmp_path / "r.csv.gz", REFERENCES, text="truth", name="uid")
    found = scored(
        capsys, "--hypotheses", hypotheses, "--references", references, "--id", "uid",
        "--hypothesis", "answer", "--reference", "truth",
    )  # fmt: skip
    assert found["bleu4.coco"]["n"] == 6


@pytest.mark.parametrize("name", ["h.csv", "h.jsonl"])
def test_it_works_in_a_pipe(tmp_path, name):
    hypotheses, references = table(tmp_path / name, HYPOTHESES), table(tmp_path / "r.csv", REFERENCES)
    command = [
        sys.executable,
        "-m",
        "harness",
        "score",
        "--hypotheses",
        "-",
        "--references",
        references,
        "--json",
    ]
    with hypotheses.open("rb") as stream:
        done = subprocess.run(command, stdin=stream, capture_output=True, check=True)
    assert len(json.loads(done.stdout)) == 2
    piped = f"{' '.join(map(str, command))} < {hypotheses} | head -1"
    reader = subprocess.run(["bash", "-c", piped], capture_output=True, text=True, check=True)
    assert (reader.stdout, reader.stderr) == ("[\n", "")


def test_torch_is_not_imported(files):
    code = (
        "import sys; from harness.cli import main; code = main(sys.argv[1:]); "
        "heavy = {'torch', 'transformers', 'harness.cohorts', 'harness.run'} & set(sys.modules); "
        "print(sorted(heavy), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "score", "--hypotheses", files[0], "--references", files[1],
         "--measures", "bleu4,rougeL,findings_f1,attributes,degenerate_output"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == "[]\n"


def bad(tmp_path, capsys, hypotheses, references, *options):
    """The message for two CSV files given as text; checks that no text, id or traceback is in it."""
    (tmp_path / "h.csv").write_text(hypotheses, encoding="utf-8")
    (tmp_path / "r.csv").write_text(references, encoding="utf-8")
    code, out, err = run(
        capsys, "--hypotheses", tmp_path / "h.csv", "--references", tmp_path / "r.csv", *options
    )
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    assert "SECRET" not in err
    assert "patient7" not in err
    return err.replace(f"{tmp_path}/", "")


GOOD = "id,text\npatient7,SECRET a\npatient8,SECRET b\n"


@pytest.mark.parametrize(
    ("hypotheses", "references", "told"),
    [
        (
            "id,text\npatient8,SECRET b\n",
            GOOD,
            "r.csv:2: id is not in h.csv; a report that failed needs a row",
        ),
        ("id,text\npatient9,x\n", GOOD, "h.csv:2: id is not in r.csv"),
        (GOOD + "patient7,SECRET c\n", GOOD, "h.csv:4: id stands twice, first on line 2"),
        (GOOD, GOOD + "patient7,SECRET c\n", "r.csv:4: id stands twice, first on line 2"),
        (GOOD + "patient9,SECRET\n", GOOD, "h.csv:4: id is not in r.csv"),
        ("uid,text\npatient7,x\n", GOOD, "h.csv:2: no column id or study_id; name one with --id: uid, text"),
        ("id,note\npatient7,x\n", GOOD, "h.csv:2: no column text or report; name one with --text: id, note"),
        (GOOD, "id,text\n,x\n", "r.csv:2: id is empty, or no name"),
        (GOOD, "id,text\npatient7\n", "r.csv:2: 1 values under 2 columns"),
        (GOOD, "id,text\npatient7,a\x00b\n", "r.csv:2: holds a NUL"),
        (GOOD, 'id,text\npatient7,"SECRET\n', "r.csv:2: not valid CSV"),
        ("id,text\n", "id,text\n", "there is no text to score"),
        ("", "", "there is no text to score"),
    ],
)
def test_bad_files_are_refused_with_their_line(tmp_path, capsys, hypotheses, references, told):
    assert told in bad(tmp_path, capsys, hypotheses, references)


def test_all_missing_ids_are_counted(tmp_path, capsys):
    references = GOOD + "patient9,c\npatient10,d\n"
    told = bad(tmp_path, capsys, "id,text\npatient8,b\n", references)
    assert "r.csv:2: id is not in h.csv, nor are 2 more of 4" in told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--text", "txt"), "r.csv:2: no column txt; did you mean text?"),
        (("--cluster", "patient"), "r.csv:2: no column patient; it has id, text"),
        (("--measures", "bleu5"), "bleu5: no such measure; did you mean bleu4?"),
        (("--measures", "bleu4,bleu4"), "each needs to be named, and once"),
        (("--measures", ","), "each needs to be named"),
    ],
)
def test_bad_options_are_refused(tmp_path, capsys, options, told):
    assert told in bad(tmp_path, capsys, GOOD, GOOD, *options)


def test_files_that_are_not_named_or_not_there(tmp_path, capsys):
    assert "--hypotheses FILE and --references FILE" in run(capsys)[2]
    path = table(tmp_path / "h.csv", HYPOTHESES)
    assert "--hypothesis COL and --reference COL" in run(capsys, "--hypotheses", path)[2]
    gone = tmp_path / "gone.csv"
    code, _, err = run(capsys, "--hypotheses", path, "--references", gone)
    assert (code, "gone.csv: no such file" in err) == (2, True)
    assert "only one" in run(capsys, "--hypotheses", "-", "--references", "-")[2]
    (tmp_path / "bad.jsonl").write_text('{"id": 1, "text": ["a"]}\n')
    assert "bad.jsonl:1: text is no text" in run(
        capsys, "--hypotheses", path, "--references", tmp_path / "bad.jsonl"
    )[2]  # fmt: skip


def test_awkward_texts_are_scored(tmp_path, capsys):
    texts = [text for text in AWKWARD if "\x00" not in text] + ["no effusion " * 900_000]
    path = table(tmp_path / "h.jsonl", texts)
    found = scored(capsys, "--hypotheses", path, "--references", path, "--measures", "bleu4,rougeL.coco.raw")
    assert found["bleu4"]["value"] == pytest.approx(1)
    assert found["bleu4"]["n"] == len(texts)
    assert found["bleu4"]["empty_hypotheses"] == 2
    assert found["rougeL.coco.raw"]["value"] == pytest.approx(1 - 2 / len(texts))
    crlf = tmp_path / "crlf.csv"
    crlf.write_bytes("\ufeffid,text\r\n1,No effusion.\r\n2,\u202eright\r\n".encode())
    assert scored(capsys, "--hypotheses", crlf, "--references", crlf)["bleu4.coco"]["n"] == 2


def test_scores_do_not_depend_on_order_or_blocks():
    some = [
        Pair(f"{h} {k % 7}", r, f"p{k}") for k, (h, r) in enumerate(zip(HYPOTHESES, REFERENCES, strict=True))
    ]
    many = [Pair(p.hypothesis, f"{p.reference} {k}", f"{p.cluster}-{k}") for k in range(400) for p in some]
    names = ["bleu4", "rougeL", "edit_distance", "degenerate_output"]
    first, second = score(many, names).as_json(), score(many[::-1], names).as_json()
    assert first == second
    whole = pairs([p.hypothesis for p in many], [p.reference for p in many])
    for name, item in zip(names[:3], first, strict=False):
        assert item["value"] == pytest.approx(float(value(named_measure(name), whole)[0]), abs=1e-12)


def test_the_real_reports_as_a_new_user_would_score_them(capsys):
    if not FOLDER.exists():
        pytest.skip(WHY_NOT)
    path = FOLDER / "reports.csv"
    found = scored(
        capsys, "--hypotheses", path, "--references", path, "--id", "uid",
        "--hypothesis", "impression", "--reference", "findings",
    )  # fmt: skip
    for item in found.values():
        assert item["n"] == 1898
        assert 0 < item["low"] < item["value"] < item["high"] < 0.2
    assert np.isfinite(found["bleu4.coco"]["value"])
