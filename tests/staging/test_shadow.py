"""A shadow deployment: verdicts, harm, bad streams, crashes, damage."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from harness.chain import Chain
from harness.cli import main
from harness.errors import HarnessError, LedgerError
from harness.staging import read_shadow
from harness.staging.harm import sign_p
from harness.staging.shadow import Shadow
from harness.status import Status
from staged import FOUR, SHADOW, at, clocks, declare, deployment, lines, log, pair, reading


def run(config, stream, out=None):
    root = out or stream.parent / "out"
    with Shadow.opened(config, stream, root, stream.parent / "looks" / "looks.jsonl") as shadow:
        shadow.advance()
        return shadow


def verdict(tmp_path, records, **changed):
    return run(*declare(tmp_path, SHADOW, records, **changed)).verdict


def test_an_equal_model_passes_at_the_end_and_is_looked_at_as_declared(tmp_path):
    shadow = run(*declare(tmp_path, SHADOW, deployment()))
    assert [look["share"] for look in shadow.looks] == [0.25, 0.5, 0.75, 1.0]
    assert [look["positives"] for look in shadow.looks] == [200, 400, 600, 880]
    assert shadow.verdict["status"] == "PASS"
    found = read_shadow(tmp_path / "out")
    assert found.status is Status.PASS
    assert (found.candidate, found.production) == ("b" * 64, "a" * 64)
    assert found.digest == shadow.verdict["digest"]


def test_harm_stops_it_early_and_nothing_after_it_counts(tmp_path):
    shadow = run(*declare(tmp_path, SHADOW, deployment(missed=6)))
    assert shadow.verdict["stopped_early"]
    assert shadow.looks[-1]["share"] < 1
    assert shadow.verdict["status"] == "FAIL"
    assert shadow.looks[-1]["stops"] == ["critical_sensitivity.Pneumothorax"]
    before = (tmp_path / "out" / "log.jsonl").read_bytes()
    with (tmp_path / "stream.jsonl").open("a") as stream:
        stream.write(lines(deployment(30)))
    run(tmp_path / "declared.yaml", tmp_path / "stream.jsonl")
    assert (tmp_path / "out" / "log.jsonl").read_bytes() == before


def test_a_better_model_is_not_stopped(tmp_path):
    records = [
        one | {"production": one["production"] | {"findings": []}} if n % 6 == 0 and "shadow" in one else one
        for n, one in enumerate(deployment())
    ]
    assert verdict(tmp_path, records)["status"] == "PASS"


def test_the_sign_test_is_exact():
    assert sign_p(0, 0) == 1
    assert sign_p(5, 0) == pytest.approx(1 / 32)
    assert sign_p(4, 1) == pytest.approx(6 / 32)


def test_before_the_end_nothing_is_decided(tmp_path):
    shadow = run(*declare(tmp_path, SHADOW, deployment(end=False)))
    assert shadow.verdict is None
    assert len(shadow.looks) == 3
    with pytest.raises(LedgerError, match="is not over"):
        read_shadow(tmp_path / "out")


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        (clocks(400), "No study of the window"),
        ([one for one in deployment() if one.get("kind") != "reading"], "0 of 220 studies were read"),
        (
            [
                {key: value for key, value in one.items() if key != "patient_id" or n % 3}
                for n, one in enumerate(deployment())
            ],
            "have no record that can be used",
        ),
        (
            [
                one | {"production": {"version": "3", "findings": None}} if "shadow" in one else one
                for one in deployment()
            ],
            "no yardstick",
        ),
        (
            [
                one | {"production": {"version": "3", "labels": []}} if "shadow" in one else one
                for one in deployment()
            ],
            "No study of the window",
        ),
    ],
)  # fmt: skip
def test_what_is_missing_is_not_evaluated(tmp_path, records, reason):
    found = verdict(tmp_path, records)
    assert found["status"] == "NOT EVALUATED"
    assert any(reason in line for line in found["reasons"])


def test_too_few_are_not_evaluated(tmp_path):
    found = verdict(tmp_path, deployment(count=12))
    assert found["status"] == "NOT EVALUATED"
    assert "too few" in found["measures"][0]["reason"]


def test_a_report_that_did_not_come_has_missed_everything(tmp_path):
    records = [
        one | {"shadow": {"version": "4", "findings": None}} if "shadow" in one and n % 8 == 0 else one
        for n, one in enumerate(deployment())
    ]
    found = verdict(tmp_path, records)
    assert found["status"] == "FAIL"


@pytest.mark.parametrize("side", [None, "none", {"version": "4", "text": "?"}])
def test_a_side_of_the_new_model_that_is_absent_is_a_report_that_did_not_come(tmp_path, side):
    records = [
        one | {"shadow": side} if "shadow" in one and n % 44 == 0 else one
        for n, one in enumerate(deployment())
    ]
    found = verdict(tmp_path, records)
    assert found["status"] == "FAIL"
    assert {item["challenger"] for item in found["measures"][:4]} == {210 / 220}


def without(records, *fields, every):
    return [
        {key: value for key, value in one.items() if key not in fields}
        if "shadow" in one and n % every == 0
        else one
        for n, one in enumerate(records)
    ]


@pytest.mark.parametrize("field", ["time", "study_id"])
def test_studies_that_cannot_be_placed_are_not_forgotten(tmp_path, field):
    found = verdict(tmp_path, without(deployment(), field, every=40))
    assert found["status"] == "NOT EVALUATED"
    assert found["measures"][0]["status"] == "NOT EVALUATED"
    assert "If the new model was the worse in each: " in found["measures"][0]["reason"]
    assert "what the new model said of those is not known" in found["reasons"][0]


STRICT = [part | {"margin": 0.018} for part in SHADOW["measures"]]


def test_a_lacking_record_decides_where_the_margin_is_as_small_as_it(tmp_path):
    assert verdict(tmp_path / "whole", deployment(), measures=STRICT)["status"] == "PASS"
    found = verdict(tmp_path / "time", without(deployment(), "time", every=300), measures=STRICT)
    assert (found["status"], found["reasons"]) == ("NOT EVALUATED", [])
    config, stream = declare(tmp_path / "broken", SHADOW, [], measures=STRICT)
    text = lines(deployment()).splitlines(keepends=True)
    stream.write_text("".join("{" + line if n in (0, 300) else line for n, line in enumerate(text)))
    found = run(config, stream).verdict
    assert (found["status"], found["reasons"]) == ("NOT EVALUATED", [])
    assert [item["status"] for item in found["measures"][:4]] == ["NOT EVALUATED"] * 4


def test_a_head_that_says_nothing_counts_against_the_new_model(tmp_path):
    measures = [*SHADOW["measures"], {"measure": "hallucination_rate", "margin": 0.05}]
    records = [
        one | {name: one[name] | {"detected": list(FOUR)} for name in ("production", "shadow")}
        if "shadow" in one else one
        for one in deployment()
    ]  # fmt: skip
    assert verdict(tmp_path / "whole", records, measures=measures)["status"] == "PASS"
    for n, one in enumerate(records):
        if "shadow" in one and n % 44 == 0:
            del one["shadow"]["detected"]
    found = verdict(tmp_path / "lacking", records, measures=measures)
    assert found["status"] == "NOT EVALUATED"
    assert (
        "10 comparisons, beside 210, a field or a usable record is lacking" in found["measures"][-1]["reason"]
    )


def test_the_worse_of_two_records_of_a_study_counts_in_either_order(tmp_path):
    for name, one, two in (("later", FOUR, ()), ("earlier", (), FOUR)):
        records = [item for n in range(220) for item in (
            pair(n, n, shadow=one), pair(n, n, shadow=two), reading(n, n + 0.5))]  # fmt: skip
        shadow = run(*declare(tmp_path / name, SHADOW, records + clocks(400)))
        assert shadow.verdict["status"] == "FAIL"
        assert shadow.pairs.pairs["SMITH-0"].shadow.findings == frozenset()
        assert shadow.faults.counts["a later record differs; the worse counts"] > 10


def test_a_later_failure_of_production_does_not_lower_the_yardstick(tmp_path):
    records = [item for n in range(220) for item in (
        pair(n, n, shadow=FOUR if n % 8 else FOUR[1:]), pair(n, n, production=None, shadow=FOUR),
        reading(n, n + 0.5))]  # fmt: skip
    assert verdict(tmp_path, records + clocks(400))["status"] == "FAIL"


def test_what_two_readings_see_differently_counts_against_the_new_model(tmp_path):
    said = [FOUR if n % 6 else FOUR[1:] for n in range(220)]
    records = [item for n in range(220) for item in (
        pair(n, n, shadow=said[n]), reading(n, n + 0.5, FOUR if n % 2 else said[n]),
        reading(n, n + 0.6, said[n] if n % 2 else FOUR))]  # fmt: skip
    shadow = run(*declare(tmp_path, SHADOW, records + clocks(400)))
    assert shadow.verdict["status"] == "FAIL"
    assert shadow.verdict["measures"][0]["challenger"] < 0.9
    alarms = [{"measure": "false_alarm_rate", "value": "Pneumothorax", "margin": 0.05}, *SHADOW["measures"]]
    records = [item for n in range(220) for item in (
        pair(n, n, production=FOUR[1:]), reading(n, n + 0.5),
        reading(n, n + 0.6, FOUR if n % 2 else FOUR[1:]))]  # fmt: skip
    found = verdict(tmp_path / "alarms", records + clocks(400), measures=alarms)
    assert (found["measures"][0]["challenger"], found["measures"][0]["current"]) == (1, 0)


def test_readings_that_cannot_be_read_are_not_forgotten(tmp_path):
    records = [
        one | {"reference": "?"} if one.get("kind") == "reading" and n % 20 == 1 else one
        for n, one in enumerate(deployment())
    ]
    found = verdict(tmp_path, records)
    assert found["status"] == "NOT EVALUATED"
    assert "belong to no study or time" in found["reasons"][0]


def test_a_yardstick_that_is_silent_more_often_than_the_smallest_margin_is_none(tmp_path):
    records = [
        one | {"production": {"version": "3", "findings": None}} if "shadow" in one and n % 32 == 0 else one
        for n, one in enumerate(deployment())
    ]
    found = verdict(tmp_path, records)
    assert found["status"] == "NOT EVALUATED"
    assert "a larger share than the smallest margin (0.05): no yardstick" in found["reasons"][0]


@pytest.fixture
def messy():
    records = deployment()
    rng = random.Random(3)
    for _ in range(10):
        records.insert(rng.randrange(400), rng.choice(records[:400]))  # duplicates, and clocks that go back
    records.insert(50, pair(900, 30) | {"time": "2031-01-01T00:00:00Z"})
    records.insert(60, pair(901, 30) | {"time": "2001-01-01T00:00:00Z"})
    records.insert(70, reading(902, 40))  # of no study
    records.insert(80, pair(903, 40) | {"production": {"version": "2", "findings": []}})
    records.insert(90, pair(904, 40, colour="red"))
    return lines(records[:100]) + "{broken\n" + lines(records[100:])


def test_a_messy_stream_is_counted_and_judged(tmp_path, messy):
    config, stream = declare(tmp_path, SHADOW, [])
    stream.write_text(messy)
    shadow = run(config, stream)
    kinds = set(shadow.faults.counts)
    assert {"duplicate", "clock went back", "not JSON", "production: another version"} <= kinds
    assert {"unknown field colour", "clock far from the stream's time"} <= kinds
    assert shadow.verdict["status"] == "PASS"
    assert "SMITH" not in (tmp_path / "out" / "log.jsonl").read_text()


def test_stopping_anywhere_gives_the_same_looks_and_verdict(tmp_path, messy):
    config, stream = declare(tmp_path / "whole", SHADOW, [])
    stream.write_text(messy)
    whole = run(config, stream)
    config, stream = declare(tmp_path / "pieces", SHADOW, [])
    rng = random.Random(7)
    for cut in [*sorted(rng.sample(range(len(messy)), 9)), len(messy)]:
        stream.write_text(messy[:cut])
        pieces = run(config, stream)
    told = [[look["content"], look["harm"], look["level"]] for look in pieces.looks]
    assert told == [[look["content"], look["harm"], look["level"]] for look in whole.looks]
    assert pieces.verdict["measures"] == whole.verdict["measures"]


class Crash(BaseException):
    pass


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_entry_loses_and_repeats_no_look(tmp_path, messy, monkeypatch, after):
    config, stream = declare(tmp_path / "whole", SHADOW, [])
    stream.write_text(messy)
    run(config, stream)
    append, rng, crashes = Chain.append, random.Random(1), 0

    def failing(self, event, **facts):
        crash = rng.random() < 0.5
        if crash and not after:
            raise Crash
        entry = append(self, event, **facts)
        if crash:
            raise Crash
        return entry

    config, stream = declare(tmp_path / "crash", SHADOW, [])
    stream.write_text(messy)
    monkeypatch.setattr(Chain, "append", failing)
    for _ in range(60):
        try:
            run(config, stream)
            break
        except Crash:
            crashes += 1
    assert crashes > 2
    assert log(tmp_path / "crash" / "out") == log(tmp_path / "whole" / "out")
    counted = (tmp_path / "crash" / "looks" / "looks.jsonl").read_text().splitlines()
    assert len(counted) == 4


def test_kill_minus_nine_loses_and_repeats_no_look(tmp_path):
    config, stream = declare(tmp_path / "whole", SHADOW, deployment())
    run(config, stream)
    config, stream = declare(tmp_path / "killed", SHADOW, deployment(end=False))
    code = "import sys; from harness.cli import main; sys.exit(main(sys.argv[1:]))"
    where = ["--out", str(tmp_path / "killed" / "out"), "--looks", str(tmp_path / "killed" / "l.jsonl")]
    verb = ["shadow", str(config), "--stream", str(stream), *where]
    command = [sys.executable, "-c", code, *verb, "--follow", "0.01"]
    path = tmp_path / "killed" / "out" / "log.jsonl"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None and (not path.exists() or path.read_text().count('"look"') < 2):
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    stream.write_text(lines(deployment()))
    assert main(verb) == 0
    looks = [entry for entry in log(tmp_path / "killed" / "out") if entry["event"] == "look"]
    assert looks == [entry for entry in log(tmp_path / "whole" / "out") if entry["event"] == "look"]


def test_a_stream_that_was_changed_behind_a_look_is_refused(tmp_path):
    config, stream = declare(tmp_path, SHADOW, deployment(end=False))
    run(config, stream)
    text = stream.read_text()
    stream.write_text(text.replace('"findings": ["Pneumothorax"', '"findings": ["Pneumonia"   ', 1))
    with pytest.raises(LedgerError, match="not those that were read then"):
        run(config, stream)


def test_looking_again_in_another_folder_is_found_out(tmp_path):
    config, stream = declare(tmp_path, SHADOW, deployment(missed=6))
    run(config, stream)
    stream.write_text(lines(deployment()))
    again = run(config, stream, tmp_path / "other")
    assert again.verdict["status"] == "NOT EVALUATED"
    assert "that are not of this folder" in again.verdict["reasons"][0]


def test_another_declaration_in_the_same_folder_is_refused(tmp_path):
    config, stream = declare(tmp_path, SHADOW, deployment(end=False))
    run(config, stream)
    declare(tmp_path, SHADOW, deployment(), hours=5)
    with pytest.raises(HarnessError, match="cannot change once data are seen"):
        run(config, stream)


def test_texts_are_read_by_the_labeler(tmp_path):
    records = [
        one
        | {
            "production": {"version": "3", "report": "Small left pneumothorax."},
            "shadow": {"version": "4", "report": "No pneumothorax." if n % 6 == 0 else "Left pneumothorax."},
        }
        if "shadow" in one
        else one
        for n, one in enumerate(deployment())
    ]
    assert verdict(tmp_path, records, labeler="rules")["stopped_early"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"measures": []}, "needs at least one entry"),
        ({"measures": [{"measure": "failure_rate", "margin": 0.05}]}, "without a margin is Pneumothorax,"),
        ({"measures": SHADOW["measures"][:3]}, "without a margin is Pleural Effusion"),
        ({"measures": [{"measure": "critical_sensitivity", "margin": 0.05}]}, "each critical finding"),
        ({"measures": [part | {"margin": 0.99} for part in SHADOW["measures"]]}, "less than or equal to 0.1"),
        (
            {"measures": [part | {"confidence": 0.51} for part in SHADOW["measures"]]},
            "greater than or equal to 0.95",
        ),
        ({"read_at_least": 0.1}, "greater than or equal to 0.8"),
        ({"looks": [0.5, 0.25]}, "looks must rise"),
        ({"harm": {"of": ["failures"]}}, "failures is none of"),
        ({"start": "2026-01-05T00:00:00"}, "needs a zone"),
        ({"hour": 4}, "did you mean hours?"),
        ({"measures": [{"measure": "slow_rate", "margin": 0.1}]}, "needs limit_s"),
    ],
)
def test_a_declaration_that_cannot_be_used_is_refused(tmp_path, capsys, changed, told):
    config, stream = declare(tmp_path, SHADOW, [], **changed)
    assert main(["shadow", str(config), "--stream", str(stream)]) == 2
    assert told in capsys.readouterr().err


def test_the_command_line_page_and_list_for_review(tmp_path, capsys):
    config, stream = declare(tmp_path, SHADOW, deployment(missed=6))
    assert main(["shadow", str(config), "--stream", str(stream)]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "was stopped early" in out
    assert "Verdict: FAIL" in out
    folder = tmp_path / "stream-shadow"
    review = (folder / "review.csv").read_text()
    assert "SMITH-0,2026-01-05T00:00:00Z,Pneumothorax,claims it,is silent,there" in review
    assert (folder / "review.csv").stat().st_mode & 0o077 == 0
    for name in ("shadow.html", "shadow.json", "log.jsonl"):
        assert "SMITH" not in (folder / name).read_text()
    first = review.splitlines()[1].partition(",")[0]
    assert first[:12] in (folder / "shadow.html").read_text()
    assert json.loads((folder / "shadow.json").read_text())["verdict"]["status"] == "FAIL"
    assert main(["shadow", str(config), "--stream", str(tmp_path / "gone.jsonl")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_parquet_gives_the_same_verdict(tmp_path):
    import pandas as pd

    records = deployment(missed=9)
    config, stream = declare(tmp_path / "lines", SHADOW, records)
    one = run(config, stream).verdict
    (tmp_path / "parquet").mkdir()
    path = tmp_path / "parquet" / "stream.parquet"
    pd.DataFrame(records).to_parquet(path)
    two = run(config, path).verdict
    assert two["measures"] == one["measures"]


def test_records_at_the_edge_of_the_window(tmp_path):
    shadow = run(*declare(tmp_path, SHADOW, [pair(1, 0), pair(2, 239.9), pair(3, 240), pair(4, 241)]))
    assert set(shadow.pairs.pairs) == {"SMITH-1", "SMITH-2"}
    assert shadow.faults.counts["outside the window"] == 2
    assert at(0).startswith("2026-01-05T00:00")
