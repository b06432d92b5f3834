"""The real reports that may lie beside the repository, as a manifest and as predictions files."""

import csv
import json
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "shared" / "data" / "openi_dev"
WHY_NOT = f"the real reports are not at {FOLDER}"
SAME = ("Atelectasis", "Cardiomegaly", "Pneumonia", "Pneumothorax", "Consolidation", "Edema")
NORMAL = {
    "findings": "The heart size is normal. The lungs are clear. No pneumothorax or pleural effusion.",
    "impression": "No acute cardiopulmonary abnormality.",
}


def read(name):
    with (FOLDER / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def human_labels(report, labels):
    """The nine CheXpert findings that the human annotators speak of; the rest has no column."""
    found = {name: labels[name] for name in SAME}
    found["Pleural Effusion"] = labels["Effusion"]
    found["Lung Lesion"] = str(max(int(labels["Mass"]), int(labels["Nodule"])))
    found["Fracture"] = str(int("Fractures, Bone" in report["MeSH"]))
    return found


def write_manifest(path):
    """Every report with a findings or impression section, labelled; returns the rows."""
    labels = {row["filename"].removeprefix("CXR"): row for row in read("human_labels.csv")}
    rows = [
        {
            "study_id": report["uid"],
            "patient_id": f"p{report['uid']}",
            "findings": report["findings"],
            "impression": report["impression"],
            "indication": report["indication"],
            **human_labels(report, labels[report["uid"]]),
        }
        for report in read("reports.csv")
    ]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return rows


def predictions(rows, rule):
    """One prediction a study by a rule: "normal", "shuffled" or "impression"."""
    shift = len(rows) // 2
    for place, row in enumerate(rows):
        other = rows[(place + shift) % len(rows)]
        texts = {
            "normal": NORMAL,
            "shuffled": {key: other[key] for key in NORMAL},
            "impression": {"impression": row["impression"] or "None."},
            "same": {key: row[key] for key in NORMAL},
        }[rule]
        yield {"study_id": row["study_id"], **texts}


def write_predictions(path, rows, rule):
    path.write_text("".join(json.dumps(row) + "\n" for row in predictions(rows, rule)), encoding="utf-8")
