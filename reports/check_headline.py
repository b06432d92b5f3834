"""Works out the headline numbers of a packet again, from its rows alone: python check_headline.py [FOLDER].

It needs pandas, NumPy and pandas' Parquet engine (pyarrow), and nothing of the software that wrote the
rows. rows.parquet has a line a study and a column MEASURE/COLUMN for every count. Exit code 0: every
number is the one in results.json; 1: one is not, or none could be worked out.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd


def derive(rows, measure, value, signature):
    """The counts of one value and the value itself; None for what is no headline number."""
    total = {name.partition("/")[2]: int(rows[name].sum()) for name in rows if name.startswith(measure + "/")}
    kind = signature.split("|")[0]
    if kind == "critical_sensitivity":  # findings the report names / findings that are there
        return total[value + ":tp"], total[value + ":pos"]
    if kind == "hallucination_rate":  # what the report claims and the reference does not support
        pair = ("unsupported", "claims") if value == "per-claim" else ("unsupported_studies", "studies")
        return total[pair[0]], total[pair[1]]
    if kind == "failure_rate":  # studies without a usable report; none is left out
        return int((rows["status"] != "ok").sum()), len(rows)
    if kind == "bleu4" and "|coco|" in signature:  # Papineni et al., ACL 2002, with COCO's constants
        matches = np.array([total[f"match{n}"] for n in (1, 2, 3, 4)])
        grams = np.array([total[f"total{n}"] for n in (1, 2, 3, 4)])
        precision = np.prod((matches + 1e-15) / (grams + 1e-9)) ** 0.25
        length = (total["candidate_length"] + 1e-15) / (total["reference_length"] + 1e-9)
        return precision * np.exp(min(0.0, 1 - 1 / length)), None
    return None


def main(folder):
    """Prints every headline number, worked out and stated; returns the exit code."""
    rows = pd.read_parquet(folder / "rows.parquet")
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    print(f"{len(rows):,} studies of {rows['patient_id'].nunique():,} patients")
    checked, wrong = 0, 0
    for item in results["estimates"]:
        found = derive(rows, item["measure"], item["value"], item["signature"])
        if item["slice"] is not None or found is None:
            continue
        numerator, denominator = found
        undefined = denominator == 0
        value = numerator if denominator is None else np.nan if undefined else numerator / denominator
        stated = np.nan if item["estimate"] is None else item["estimate"]
        same = np.isclose(value, stated, rtol=1e-9, atol=1e-12, equal_nan=True)
        if denominator is not None:
            same &= (numerator, denominator) == (item["numerator"], item["denominator"])
        same &= item["n_studies"] == len(rows)
        checked, wrong = checked + 1, wrong + (not same)
        counts = "" if denominator is None else f"{numerator:,} / {denominator:,}"
        name = f"{item['measure']}.{item['value']}"
        print(
            f"{name:42} {counts:>15} = {value:.4f}   stated {stated:.4f}   {'same' if same else 'DIFFERENT'}"
        )
    print(f"{checked} headline numbers worked out again; {wrong} differ")
    return 0 if checked and not wrong else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
