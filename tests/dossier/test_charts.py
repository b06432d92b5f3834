from xml.etree import ElementTree

from harness.dossier.charts import confusion, latency_curve, risk_matrix
from harness.dossier.figures import flow_plot, label_plot
from harness.printed import SUPPRESSED
from harness.report import FINDINGS


def told(plot):
    return ElementTree.fromstring(plot).findtext("{http://www.w3.org/2000/svg}title")


def words(plot):
    return [item.text for item in ElementTree.fromstring(plot).iter("{http://www.w3.org/2000/svg}text")]


def test_a_confusion_matrix_shows_and_tells_every_count():
    plot = confusion([("Pneumothorax & more", 11, 2, 3, 1084), ("Fracture", 0, 0, 0, 0)], "T")
    assert {"11", "2", "3", "1,084"} <= set(words(plot))
    assert "Pneumothorax & more: 11 found, 2 missed, 3 invented, 1084 rightly not reported" in told(plot)


def times(low, high):
    quantile = {"estimate": low, "low": low, "high": high, "reason": ""}
    return {"curve": [[low, 0.5], [high, 1.0]], "quantiles": {"p50": quantile, "p99": quantile}}


def test_a_latency_curve_has_its_quantiles_whatever_the_spread():
    for low, high in ((0.001, 0.001), (0.001, 300.0), (2.0, 2.1)):
        plot = latency_curve(times(low, high), "T")
        assert f"P99 {low:.3g} s" in told(plot)
        assert any(text.endswith(" s") and text[0].isdigit() for text in words(plot)), "an axis with numbers"


def test_no_time_at_all_is_said():
    assert "no report was given" in told(latency_curve({"curve": [], "quantiles": {}}, "T"))


def test_hazards_lie_in_their_cell_and_the_full_cell_says_so():
    lines = [
        {"id": f"H{k}", "severity": "critical", "updated": "remote", "level": "medium", "open": k == 0}
        for k in range(5)
    ]
    plot = risk_matrix(lines, "T")
    assert "■ H0, ✓ H1 +3" in words(plot)
    assert "H4: severity critical, probability remote, risk medium" in told(plot)


def test_suppressed_counts_are_words_and_never_bars():
    states = {"positive": 9, "uncertain": 1, "negative": 3, "not_mentioned": 7, "not_covered": 0}
    labels = {str(finding): dict(states) for finding in FINDINGS}
    labels["Fracture"]["positive"] = SUPPRESSED
    flow = {"eligible": SUPPRESSED, "excluded": [["young", SUPPRESSED]], "included": 20, "judged": 20}
    results = {"flow": flow, "labels": labels, "statuses": {"ok": 20}}
    assert "Fracture" not in words(label_plot(results))
    assert "suppressed  young" in words(flow_plot(results))
