"""What the page says: sentences, pictures, and that texts are escaped."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from trials import RANDOMISED, TRIAL, Truth, trial

from harness.ab import words
from harness.ab.decide import evaluate
from harness.ab.page import model, render, write_json, write_page
from harness.ab.plots import distribution, endpoints, findings, readers


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Name -> ratings and outcome."""
    root = tmp_path_factory.mktemp("page")
    truths = {
        "good": (TRIAL, 1000, Truth(gain=0.35, sensitivity=(0.96, 0.99), missing=0)),
        "bad": (TRIAL, 1000, Truth(gain=-0.5, sensitivity=(0.98, 0.8), told_apart=0.4)),
        "small": (TRIAL, 40, Truth(missing=0.2)),
        "dealt": (RANDOMISED, 1500, Truth()),
    }
    found = {}
    for name, (design, studies, truth) in truths.items():
        (root / name).mkdir()
        ratings = trial(root / name, design, studies, 1, truth)
        found[name] = ratings, evaluate(ratings, design, root / name / "looks.jsonl")
    none = frozenset()
    ratings = found["good"][0]
    bare = replace(ratings, present=(none,) * len(ratings), reported=(none,) * len(ratings),
                   rating=np.full(len(ratings), 5.0), site=np.full(len(ratings), ""))  # fmt: skip
    found["bare"] = bare, evaluate(bare, TRIAL, root / "bare.jsonl")
    return found


@pytest.mark.parametrize(
    ("name", "decision", "said"),
    [
        ("good", "PROMOTE", "Promote candidate: readers rated its drafts higher"),
        (
            "bad",
            "DO NOT PROMOTE",
            "Do not promote candidate: it missed more cases of Pneumothorax (59 of 76 against 73 of 76)",
        ),
        (
            "small",
            "NOT EVALUATED",
            "there is no alpha to spend (look 1, at 4%) and the data do not pass 1 of 6 checks",
        ),
        ("bare", "NOT EVALUATED", "critical findings reported could not be judged (no adjudicated"),
    ],
)
def test_the_conclusion_is_one_sentence_that_names_the_reason(cases, name, decision, said):
    _, outcome = cases[name]
    assert outcome.decision == decision
    assert said in words.conclusion(outcome)
    assert "p <" not in words.conclusion(outcome)


def test_every_page_is_whole(cases):
    for name, (ratings, outcome) in cases.items():
        page = render(outcome, ratings)
        assert outcome.decision in page
        assert "What this does not show" in page
        assert not re.search(r"\bnan\b|\binf\b|None", re.sub(r"<style>.*?</style>", "", page, flags=re.S)), (
            name
        )
        assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_numbers_on_the_page_are_those_of_the_outcome(cases):
    ratings, outcome = cases["good"]
    rating = outcome.endpoints[0]
    page = render(outcome, ratings)
    assert f"{rating.current:.2f} → {rating.challenger:.2f}" in page
    critical = outcome.critical[0]
    assert f"{critical.current} / {critical.current_of}" in page


def test_texts_are_escaped(cases):
    ratings, outcome = cases["good"]
    evil = tuple(text + " <script>x</script>" for text in ratings.final)
    page = render(outcome, replace(ratings, final=evil))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_pictures_are_xml_and_tell_their_numbers(cases):
    for _, outcome in cases.values():
        tree = ET.fromstring(endpoints(outcome.endpoints))
        told = tree.find("{http://www.w3.org/2000/svg}title").text
        for item in outcome.endpoints:
            assert words.difference(item) in told
        tree = ET.fromstring(findings(outcome.critical))
        told = tree.find("{http://www.w3.org/2000/svg}title").text
        for item in outcome.critical:
            assert (
                f"{item.name.value}: {item.current} of {item.current_of} against {item.challenger} of" in told
            )
        groups = {(part.by, part.endpoint): part.groups for part in outcome.heterogeneity}
        for by in {by for by, _ in groups}:
            rated, found = groups[by, "rating"], groups[by, "critical_sensitivity"]
            told = readers(rated, found, "x")
            ET.fromstring(told)
            for group in found:
                assert f"{group.missed[1]} of {group.findings[1]}" in told
    ET.fromstring(distribution([("a", [1, 2, 3, 4, 5]), ("b", [0, 0, 0, 0, 0])]))


def test_a_loss_lies_left_and_a_gain_right_whatever_the_unit(cases):
    """Of every dot in the picture: left of the line of no difference just where the endpoint lost."""
    for _, outcome in cases.values():
        picture = endpoints(outcome.endpoints)
        zero = float(re.search(r'<line x1="([\d.]+)"[^>]*stroke="#1b242e"', picture)[1])
        dots = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', picture)]
        known = [item for item in outcome.endpoints if item.difference is not None]
        for dot, item in zip(dots, known, strict=True):
            gain = item.sign * item.difference
            assert dot == pytest.approx(zero) if gain == 0 else (dot > zero) == (gain > 0)


def test_cautions_name_what_stands_against_it(cases):
    _, outcome = cases["bare"]
    assert any("fewer than two sites" in line for line in words.cautions(outcome))
    contrary = replace(cases["good"][0], rating=np.where(
        cases["good"][0].reader == "reader-A", 6 - cases["good"][0].rating, cases["good"][0].rating
    ))  # fmt: skip
    outcome = replace(cases["good"][1], heterogeneity=evaluate_groups(contrary))
    lines = words.cautions(outcome)
    assert any("readers differ" in line for line in lines)
    assert any("worse with the challenger for 1 of 10 readers" in line for line in lines)


def evaluate_groups(ratings):
    from harness.ab.effects import positives, tables
    from harness.ab.robustness import heterogeneity

    return tuple(heterogeneity(tables(ratings, TRIAL), positives(ratings), ratings, TRIAL, 0.05))


def test_frequent_edits_and_examples_are_those_of_the_drafts(cases):
    ratings, outcome = cases["good"]
    shown = model(outcome, ratings)
    for arm in shown["edits"]:
        shares = [float(edit["share"]) for edit in arm["frequent"]]
        assert shares == sorted(shares, reverse=True)
        assert 0 < len(shares) <= 8
    old, new = (float(arm["unchanged"].rstrip("%")) for arm in shown["edits"])
    assert new > old
    assert len(shown["examples"]) >= 2


def test_files_are_written_whole(cases, tmp_path):
    ratings, outcome = cases["good"]
    assert write_json(tmp_path / "out", outcome).read_text().startswith("{")
    pdf, html = write_page(tmp_path / "out", outcome, ratings)
    assert pdf.read_bytes()[:5] == b"%PDF-"
    assert html.read_text().endswith("</html>\n") or html.read_text().rstrip().endswith("</html>")
