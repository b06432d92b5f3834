"""Every published worked example that bears on this package, at its own tolerance."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import binom

from harness.inference import (
    Bootstrap,
    adjust_p_values,
    bootstrap_interval,
    clustered_mcnemar_test,
    clustered_proportion_interval,
    crossing_probabilities,
    design_effect,
    difference_interval,
    mcnemar_test,
    paired_difference_interval,
    paired_t_test,
    permutation_test,
    positives_needed,
    power_paired_t,
    proportion_interval,
    quantile_interval,
    signed_rank_test,
    spending_boundaries,
)

PATH = Path(__file__).parents[3] / "shared" / "golden" / "stats.json"
ENTRIES = {entry["name"]: entry for entry in json.loads(PATH.read_text())["entries"]} if PATH.exists() else {}

CASES = {}


def case(entry, *keys):
    """Registers how an entry's expected value, or the value under each key, is worked out."""

    def register(function):
        for key in keys or (None,):
            CASES[entry, key] = (lambda f, k: lambda inputs: f(inputs, k) if k is not None else f(inputs))(
                function, key
            )
        return function

    return register


def ends(interval):
    return [interval.low, interval.high]


# One proportion


@case("newcombe1998_single_81_263", "wald", "wilson", "wilson_cc", "clopper_pearson", "mid_p")
@case("newcombe1998_single_1_29", "wilson", "wilson_cc", "clopper_pearson", "mid_p")
@case("ratesci_rateci_1_29", "jeffreys", "mid_p", "clopper_pearson")
def one_proportion(inputs, key):
    return ends(proportion_interval(inputs["x"], inputs["n"], inputs["level"], key.replace("_", "-")))


@case("R_binom_test_cp_20_100_0.95")
@case("R_binom_test_cp_0_10_0.95")
@case("CXR_PMC10996416_T3_ptx_radiologist_sens")
@case("CXR_PMC10996416_T3_ptx_radiologist_spec")
@case("CXR_PMC10996416_T3_rib_fx_radiologist_sens")
@case("CXR_PMC10996416_T3_rib_fx_ai_spec")
@case("CXR_PMC10996416_T3_collapse_ai_sens")
def exact(inputs):
    return ends(proportion_interval(inputs["x"], inputs["n"], inputs["level"], "clopper-pearson"))


@case("R_binom_test_onesided_greater_10_10")
def exact_bound(inputs):
    return proportion_interval(inputs["x"], inputs["n"], inputs["conf"], "clopper-pearson", "lower").low


@case("R_prop_test_wilson_3_10_two-sided_cc_0.95")
@case("R_prop_test_wilson_3_10_greater_nocc_0.95")
@case("R_prop_test_wilson_10_10_two-sided_cc_0.95")
def wilson(inputs):
    method = "wilson-cc" if inputs["continuity"] else "wilson"
    side = {"two-sided": "two-sided", "greater": "lower"}[inputs["alternative"]]
    return ends(proportion_interval(inputs["x"], inputs["n"], inputs["level"], method, side))


@case("FDA2007_sensitivity_44_51", "point", "ci")
@case("FDA2007_PPA_40_44", "point", "ci")
@case("FDA2007_overall_agreement_211_220", "point", "ci")
def agreement(inputs, key):
    interval = proportion_interval(inputs["x"], inputs["n"], inputs["level"], "wilson")
    return interval.estimate if key == "point" else ends(interval)


@case("ratesci_clusterpci_liang1992", "ci", "est", "totx", "totn", "xihat")
def clustered(inputs, key):
    x, n = np.array(inputs["x"], dtype=float), np.array(inputs["n"], dtype=float)
    interval = clustered_proportion_interval(x, n, inputs["level"], method="wilson")
    return {
        "ci": ends(interval),
        "est": interval.estimate,
        "totx": x.sum(),
        "totn": n.sum(),
        "xihat": design_effect(x, n),
    }[key]


# Numbers needed, quantiles


@case("success_run_n_zero_failures")
def success_run(inputs):
    return [positives_needed(inputs["reliability"], 0, level) for level in inputs["confidence"]]


@case("n_positives_needed_CP_lower_bound_gt_098", "0.95", "0.975", "0.99")
def needed(inputs, key):
    return {str(misses): positives_needed(inputs["p0"], misses, float(key)) for misses in range(9)}


@case("wilks_first_to_third_order_95_95")
def wilks(inputs):
    def bounded(n, order):  # is the order-th largest of n an upper bound?
        bound = quantile_interval(np.arange(1, n + 1), inputs["content"], inputs["conf"], "upper").high
        return bound <= n + 1 - order

    return [next(n for n in range(1, 500) if bounded(n, order)) for order in inputs["order"]]


@case("median_ci_order_stat_n9")
def median(inputs):
    times, (r, s) = np.arange(1, inputs["n"] + 1), (inputs["r"], inputs["s"])
    covered = binom.cdf(s - 1, inputs["n"], inputs["p"]) - binom.cdf(r - 1, inputs["n"], inputs["p"])
    # The interval is (r, s) for every confidence up to that coverage and no longer beyond it.
    assert ends(quantile_interval(times, inputs["p"], covered - 1e-9)) == [r, s]
    assert ends(quantile_interval(times, inputs["p"], covered + 1e-9)) == [r - 1, s + 1]
    return covered


# Differences and pairs


@case("clustered_mcnemar_thyroids_obuchowski1998", "eliasziw_donner", "obuchowski", "durkalski", "yang")
def thyroids(inputs, key):
    counts = [inputs[name] for name in ("ak", "bk", "ck", "dk")]
    return clustered_mcnemar_test(*counts, method=key.replace("_", "-")).statistic


@case("clustered_mcnemar_thyroids_obuchowski1998", "mcnemar")
def thyroids_unclustered(inputs, key):
    return mcnemar_test(sum(inputs["bk"]), sum(inputs["ck"]), "asymptotic").statistic


@case("two_prop_7_34_vs_1_34", "newcombe", "mn_score")
def two_proportions(inputs, key):
    method = {"newcombe": "newcombe", "mn_score": "miettinen-nurminen"}[key]
    return ends(difference_interval(inputs["x1"], inputs["n1"], inputs["x2"], inputs["n2"], method=method))


@case("newcombe1998_diff_method10_56_70_48_80")
@case("newcombe1998_diff_method10_6_7_2_7")
@case("newcombe1998_diff_method10_0_10_0_10")
@case("newcombe1998_diff_method10_10_10_0_20")
def newcombe(inputs):
    return ends(difference_interval(inputs["x1"], inputs["n1"], inputs["x2"], inputs["n2"]))


@case("mcnemar_AHR_fagerland2013", "asymptotic", "cc", "exact", "mid_p")
def airways(inputs, key):
    (_, b), (c, _) = inputs["table"]
    method = {"cc": "continuity-corrected", "mid_p": "mid-p"}.get(key, key)
    return mcnemar_test(b, c, method).p_value


@case("tango_AHR_fagerland2014", "tango")
def tango_airways(inputs, key):
    return ends(paired_difference_interval(*(inputs[cell] for cell in "abcd")))


@case("newcombe_paired_method10_AHR")
def newcombe_airways(inputs):
    return ends(paired_difference_interval(*(inputs[cell] for cell in "abcd"), method="newcombe"))


@case("tango1998_4_9_3_16")
def tango(inputs):
    return ends(paired_difference_interval(*inputs["abcd"], confidence=inputs["level"]))


@case("agresti_presidential_approval", "chi2", "p")
def approval(inputs, key):
    (_, b), (c, _) = inputs["table"]
    result = mcnemar_test(b, c, "asymptotic")
    return result.statistic if key == "chi2" else result.p_value


@case("exact2x2_vignette_mcnemar_21_9_2_12", "chi2_nocc", "p_nocc", "p_exact")
def vignette(inputs, key):
    asymptotic, exact = mcnemar_test(2, 9, "asymptotic"), mcnemar_test(2, 9)
    return {"chi2_nocc": asymptotic.statistic, "p_nocc": asymptotic.p_value, "p_exact": exact.p_value}[key]


@case(
    "darwin_fisher_paired",
    *("t", "p_t", "perm_two_sided_count", "perm_total", "p_perm", "wilcoxon_T", "wilcoxon_p"),
)
def darwin(inputs, key):
    d = np.array(inputs["d"])
    t, rank = paired_t_test(d, 0 * d), signed_rank_test(d, 0 * d)
    swaps = permutation_test(
        d[:, None], 0 * d[:, None], lambda totals: totals[..., 0] / len(d), replicates=2 ** len(d)
    )
    return {
        "t": t.statistic,
        "p_t": t.p_value,
        "perm_two_sided_count": swaps.p_value * 2 ** len(d),
        "perm_total": 2 ** len(d),
        "p_perm": swaps.p_value,
        "wilcoxon_T": rank.statistic,
        "wilcoxon_p": rank.p_value,
    }[key]


# Several tests, several looks, power


@case("R_multtest_padjust_10", "bonferroni", "holm")
def adjusted(inputs, key):
    given = np.array(inputs["p"])
    found = adjust_p_values(given, key)
    return list(found[np.argsort(given)])


@case("R_pwr_t_test")
def power(inputs):
    return [power_paired_t(one["d"], one["n"], one["alpha"]) for one in inputs["cases"]]


@case("lan_demets_obf_5looks")
def spending(inputs):
    return list(spending_boundaries(inputs["t"], inputs["alpha"]))


@case("pocock_obf_constants_K5", "pocock", "obf_final")
def constants(inputs, key):
    looks = np.arange(1, inputs["K"] + 1) / inputs["K"]
    shape = np.ones_like(looks) if key == "pocock" else 1 / np.sqrt(looks)
    return brentq(lambda c: crossing_probabilities(looks, c * shape).sum() - inputs["alpha"], 1, 5)


# The bootstrap and the jackknife


@case("R_boot_ci_mean_16", "basic", "percentile", "BCa")
def mean(inputs, key):
    tenths = np.rint(np.array(inputs["x"]) * 10).astype(int)
    rows = np.stack([tenths, np.ones_like(tenths)], axis=1)
    interval = bootstrap_interval(
        rows,
        lambda totals: totals[..., 0] / totals[..., 1] / 10,
        replicates=200_000,
        confidence=inputs["level"],
        method=key.lower(),
    )
    return ends(interval)


@case("efron_law_school", "corr", "jackknife_se")
def law_school(inputs, key):
    x, y = np.array(inputs["lsat"]).astype(int), np.rint(np.array(inputs["gpa"]) * 100).astype(int)
    rows = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)

    def correlation(totals):
        n, x, y, xx, yy, xy = np.moveaxis(totals, -1, 0)
        return (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))

    [[found]] = Bootstrap(np.arange(len(x)), 1, 0).distributions([(rows, correlation)])
    left_out = found.jackknife[:, 0]
    if key == "corr":
        return found.estimate[0]
    return np.sqrt((len(x) - 1) * left_out.var())


OUTSIDE = {
    # Other contrasts and methods than the package has.
    ("two_prop_7_34_vs_1_34", "wald"),
    ("two_prop_7_34_vs_1_34", "agresti_caffo"),
    ("exact2x2_vignette_mcnemar_21_9_2_12", "or_"),
    ("exact2x2_vignette_mcnemar_21_9_2_12", "or_ci"),
    ("exact2x2_fisher_6_12_12_5", "p_minlike"),
    ("exact2x2_fisher_6_12_12_5", "p_central"),
    ("R_multtest_padjust_10", "bh"),
    ("R_chisq_party", "chi2"),
    ("R_chisq_party", "df"),
    ("R_chisq_party", "p"),
    # On the way to xihat, which is tested.
    ("ratesci_clusterpci_liang1992", "icc"),
    # Fairness and drift live elsewhere.
    ("aim_cu_arl1_steady_state", None),
    *(
        ("fairlearn_user_guide", key)
        for key in (
            *("dp_diff", "dp_ratio", "eo_diff", "eo_ratio"),
            *("recall_diff", "recall_overall", "recall_intersect"),
        )
    ),
}

needs_golden = pytest.mark.skipif(not ENTRIES, reason=f"{PATH} is absent: published examples not checked")


@needs_golden
@pytest.mark.parametrize(("entry", "key"), CASES, ids=lambda part: str(part))
def test_published_example(entry, key):
    expected = ENTRIES[entry]["expected"] if key is None else ENTRIES[entry]["expected"][key]
    tolerance = ENTRIES[entry]["tolerance"]
    if isinstance(tolerance, dict):
        tolerance = tolerance[key]
    found = CASES[entry, key](ENTRIES[entry]["inputs"])
    # An absolute tolerance; rounding alone is allowed on top.
    assert found == pytest.approx(expected, rel=1e-12, abs=max(tolerance, 1e-12))


@needs_golden
def test_no_published_example_is_forgotten():
    every = {
        (name, key)
        for name, entry in ENTRIES.items()
        for key in (entry["expected"] if isinstance(entry["expected"], dict) else [None])
    }
    assert every == set(CASES) | OUTSIDE
