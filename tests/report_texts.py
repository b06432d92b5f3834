"""Texts for tests of measures: pairs from plain lists, awkward texts, and the real reports."""

import random

import numpy as np
from hypothesis import strategies as st

from harness.measures.base import Pairs, Side
from harness.report import FINDINGS, INDEX, State
from real_reports import read

WORDS = [
    *("no", "acute", "abnormality", "the", "heart", "is", "enlarged", "small", "left-sided", "effusion,"),
    *("effusions.", "2.5", "cm", "nodule", "(right)", "upper/lower", "lobe;", "cannot", "exclude"),
    *("pneumonia!", "T8", "10%", "don't", "patient's", "vs.", "XXXX", "1,000", "3-mm", "follow-up"),
    *("a.m.", "CHANGES", "changed", "changing", "&", "<", ">", "%", "…"),
]

AWKWARD = (
    "",
    " \t\n\r\n ",
    "Pneumothorax",
    "No effusion.\r\nNo pneumothorax.\r\n",
    "Nul\x00in the text",
    "A lone surrogate \ud800 here",
    "right \u202etxet esrever\u202c left",
    "<script>alert('x')</script> &amp; <skipped> end-\nof line",
    "Kein Pleuraerguss. Größe normal. Ὀδυσσεύς. 未见气胸。 İstanbul K ½ é",
    "word" * 5000,
    "... !!! --- ''' \"\"\" ( [ {",
)

texts = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join),
    st.text(max_size=60),
    st.sampled_from(AWKWARD),
)
"""Report-like texts, and any other."""

pairs_of_texts = st.lists(st.tuples(texts, texts), min_size=1, max_size=8)


def pairs(candidates, references, candidate_labels=None, reference_labels=None, failed=None):
    """Pairs with texts as findings sections; without labels nothing is mentioned."""
    nothing = np.zeros((len(references), len(FINDINGS)), dtype=np.int8)
    return Pairs(
        Side(references, [""] * len(references), nothing if reference_labels is None else reference_labels),
        Side(candidates, [""] * len(candidates), nothing if candidate_labels is None else candidate_labels),
        np.array([not text.strip() for text in candidates] if failed is None else failed, dtype=bool),
    )


def labels(*studies):
    """Labels of studies, each a mapping of finding name to state; the rest is not mentioned."""
    table = np.full((len(studies), len(FINDINGS)), State.NOT_MENTIONED, dtype=np.int8)
    for row, study in enumerate(studies):
        for name, state in study.items():
            table[row, INDEX[name]] = state
    return table


def value(measure, some):
    """The values on some pairs."""
    return measure.weighted(measure.rows(some), np.ones(len(some)))


def _near_copy(text, rng):
    words = text.split()
    for _ in range(1 + len(words) // 20):
        if words:
            words[rng.randrange(len(words))] = rng.choice(WORDS)
    return " ".join(words)


def real_texts():
    """Lists of candidates and references from the real reports, by what the candidates are."""
    rows = read("reports.csv")
    whole = [f"{row['findings']}\n{row['impression']}" for row in rows]
    rng = random.Random(20260101)
    shuffled = rng.sample(whole, len(whole))
    both = [row for row in rows if row["findings"].strip() and row["impression"].strip()]
    assert len(rows) == 1898
    assert len(both) > 1600
    return {
        "impression against findings": ([r["impression"] for r in both], [r["findings"] for r in both]),
        "shuffled": (shuffled, whole),
        "near copies": ([_near_copy(text, rng) for text in whole], whole),
    }
