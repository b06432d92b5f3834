"""The watch: keep, hold, roll back; bad streams; the alias moved once, whatever dies."""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from harness.chain import Chain
from harness.cli import main
from harness.data_files import data_path
from harness.errors import HarnessError, LedgerError, RegistryUnreachable
from harness.staging.rollback import Alias, roll_back
from harness.staging.watch import Watch
from staged import START, WATCH, at, declare, lines, log, outcome, outcomes, read

PAST = START + 3 * 3600
NEVER = -1.0


def run(config, stream, now=NEVER, out=None, patient=False):
    with Watch.opened(config, stream, out or stream.parent / "out", patient) as watch:
        watch.advance(now)
        return watch


def decision(tmp_path, records, now=NEVER, **changed):
    return run(*declare(tmp_path, WATCH, records, **changed), now=now).decision


def delay(found, begins):
    return (
        time.mktime(time.strptime(found["at"][:16], "%Y-%m-%dT%H:%M")) - time.timezone - START
    ) / 60 - begins


def test_a_quiet_stream_is_kept(tmp_path):
    watch = run(*declare(tmp_path, WATCH, outcomes()))
    assert watch.decision["decision"] == "keep"
    assert watch.last["number"] == 24
    assert watch.last["rules"][0]["n"] > 300


def shipped(tmp_path, hallucinates, missed, keeps="likely"):
    """By the shipped declaration: every so many hallucinate, and of 21 read studies some are missed."""
    records = [outcome(n, n / 3, version="4", hallucination=n % hallucinates == 0) for n in range(366)]
    records += [read(10 * n, n, n >= 21 - missed) for n in range(21)]
    records += [read(10 * n + 1, n, None) for n in range(21)]
    declared = yaml.safe_load((data_path("suites") / "staging" / "watch.yaml").read_text())
    assert declared["rules"][4]["keeps"] == "likely"
    declared["rules"][4]["keeps"] = keeps
    config, stream = declare(tmp_path, declared, sorted(records, key=lambda one: one["time"]))
    return run(config, stream).decision


def test_what_is_seen_far_above_its_limit_is_not_kept(tmp_path):
    found = shipped(tmp_path / "both", 13, 6)
    assert found["decision"] == "roll back"
    assert "critical_misses is shown to be above 0.05: 6 of 21" in found["why"][0]
    found = shipped(tmp_path / "one", 13, 0)
    assert found["decision"] == "hold"
    assert "hallucination_rate is not shown to be below 0.05: 29 of 366" in found["why"][0]
    assert found["why"][0].endswith("as counted, it lies above: hold")


def test_what_so_few_studies_cannot_show_is_held_and_it_says_how_many_would(tmp_path):
    found = shipped(tmp_path, 1000, 0, keeps="shown")
    assert found["decision"] == "hold"
    assert len(found["why"]) == 1
    assert found["why"][0].startswith(
        "critical_misses is not shown to be below 0.05: 0 of 21, upper 95% bound"
    )
    assert found["why"][0].endswith("13.29%; at this rate 59 studies would show it: hold")


def test_what_so_few_studies_do_not_speak_against_may_be_declared_enough(tmp_path):
    found = shipped(tmp_path / "none", 1000, 0)
    assert found["decision"] == "keep"
    assert found["why"] == [
        "critical_misses: 0 of 21, too few to show it below 0.05, and not above it: no reason to hold"
    ]
    found = shipped(tmp_path / "two", 1000, 2)  # 9.5 % is above 5 %
    assert found["decision"] == "hold"
    assert found["why"][0].startswith("critical_misses is not shown to be below 0.05: 2 of 21")


@pytest.mark.parametrize("missing", [("time",), ("study_id",), ("version",)])
def test_studies_that_cannot_be_placed_are_not_kept(tmp_path, missing):
    records = outcomes()
    for n, one in enumerate(records):
        if n % 2 and "version" in one:
            records[n] = {key: value for key, value in one.items() if key not in missing} | {
                "status": "failed"
            }
    found = decision(tmp_path, records)
    assert found["decision"] == "hold"
    assert "belong to no study, time or version: hold" in found["why"][-1]
    assert "not known and counted as bad" in found["why"][0]


def test_lines_that_are_no_json_are_not_kept(tmp_path):
    config, stream = declare(tmp_path, WATCH, [])
    text = lines(outcomes()).splitlines(keepends=True)
    stream.write_text("".join("{" + line if n % 20 == 1 else line for n, line in enumerate(text)))
    found = run(config, stream).decision
    assert found["decision"] == "hold"
    assert "belong to no study" in found["why"][-1]


@pytest.mark.parametrize("ahead", [[119], [64, 119]])
def test_a_clock_that_is_ahead_does_not_hide_silence(tmp_path, ahead):
    found = decision(tmp_path, outcomes(60) + [outcome(9000 + n, n) for n in ahead], now=PAST)
    assert found["decision"] == "roll back"
    assert found["why"][0].startswith("no record of version 2 for")
    assert delay(found, 60) <= 15


def test_the_first_clock_is_not_believed_alone(tmp_path):
    found = decision(tmp_path, [outcome(9000, 119), *outcomes()])
    assert found["decision"] == "keep"


def test_what_is_stamped_before_the_switch_is_not_lost(tmp_path):
    records = [
        one | {"time": at(-1), "status": "failed"} if "version" in one and n % 10 == 3 else one
        for n, one in enumerate(outcomes())
    ]
    watch = run(*declare(tmp_path, WATCH, records))
    assert watch.decision["decision"] == "hold"
    assert watch.faults.counts["stamped before the switch"] > 10


@pytest.mark.parametrize("status", ["error", "OK", 3])
def test_a_status_that_nobody_knows_is_bad(tmp_path, status):
    records = [one | {"status": status} if n % 5 == 1 else one for n, one in enumerate(outcomes())]
    watch = run(*declare(tmp_path, WATCH, records))
    assert watch.decision["decision"] == "roll back"
    assert watch.decision["why"][0].startswith("failure_rate is shown to be above")
    assert watch.faults.counts["unknown status"] > 3


def test_what_a_few_studies_lack_counts_as_bad(tmp_path):
    records = [
        {key: value for key, value in one.items() if key not in ("status", "latency_s") or n % 30}
        for n, one in enumerate(outcomes())
    ]
    found = decision(tmp_path, records)
    assert found["decision"] == "hold"
    assert "failure_rate is not shown to be below 0.03: 0 of" in found["why"][0]
    assert "not known and counted as bad" in found["why"][0]


def test_late_reports_and_rejected_flags_say_nothing_good(tmp_path):
    rules = [
        {"measure": "hallucination_rate", "above": 0.05, "otherwise": "hold"},
        {"measure": "rejection_rate", "above": 0.3, "otherwise": "hold"},
    ]
    records = outcomes(status="late")
    assert "hallucination_rate is NOT EVALUATED" in decision(tmp_path / "a", records, rules=rules)["why"][0]
    records = outcomes(rejected=True, hallucination=False)
    assert "rejection_rate is shown" in decision(tmp_path / "b", records, rules=rules)["why"][0]


def misses(form, quarter=4):
    """The same truth in three forms: in every fifth study a critical finding is there, some missed."""
    records = []
    for n in range(366):
        there, missed = n % 5 == 0, n % 5 == 0 and (n // 5) % quarter == 0
        found = ["Pneumothorax"] if there else []
        said = {"findings": [] if missed else found} if form == "reference" else {}
        records.append(outcome(n, n / 3, **said))
        told = {"critical_missed": missed if there else None}
        if form == "false":
            told = {"critical_missed": missed}
        elif form == "reference":
            told = {"reference": found}
        records.append({"kind": "reading", "study_id": f"JONES-{n}", "time": at(n / 3 + 0.01)} | told)
    return records


def test_the_same_truth_counts_the_same_in_each_form(tmp_path):
    flags, references = (
        run(*declare(tmp_path / form, WATCH, misses(form))) for form in ("null", "reference")
    )
    assert flags.decision["decision"] == references.decision["decision"] == "roll back"
    assert flags.last["rules"][2] == references.last["rules"][2]
    assert flags.last["rules"][2]["n"] < 60


def test_false_for_every_study_that_was_read_hides_nothing(tmp_path):
    found = decision(tmp_path, misses("false", quarter=10))
    assert found["decision"] == "hold"
    assert "none of 364 readings says that nothing critical is there" in found["why"][0]


@pytest.mark.parametrize(
    ("reported", "told", "counts"),
    [
        ({}, {"critical_missed": None}, (0, 0, 0)),
        ({}, {}, (0, 0, 1)),
        ({}, {"critical_missed": "no"}, (0, 0, 1)),
        ({}, {"critical_missed": False, "reference": []}, (0, 0, 1)),
        ({}, {"critical_missed": None, "reference": ["Fracture"]}, (0, 0, 1)),
        ({}, {"reference": ["Fracture"]}, (0, 0, 1)),
        ({}, {"reference": ["Fracture"], "findings": ["Fracture"]}, (0, 1, 0)),
        ({"findings": []}, {"reference": ["Fracture"], "findings": ["Fracture"]}, (1, 1, 0)),
        ({"findings": ["Fracture"]}, {"reference": ["Fracture"], "critical_missed": True}, (1, 1, 0)),
        ({"status": "failed"}, {"critical_missed": False}, (1, 1, 0)),
        ({"status": "failed"}, {"reference": ["Fracture"], "findings": ["Fracture"]}, (1, 1, 0)),
        ({"status": "failed"}, {"reference": ["Edema"]}, (0, 0, 0)),
    ],
)
def test_what_a_reading_counts_for(tmp_path, reported, told, counts):
    reading = {"kind": "reading", "study_id": "JONES-0", "time": at(0.1)} | told
    watch = run(*declare(tmp_path, WATCH, [reading, outcome(0, 0, **reported)]))
    found = watch.outcomes.count(2, 0.0)
    assert (found.bad, found.n, found.lacking) == counts


def test_the_worse_of_two_records_of_a_study_counts_in_either_order(tmp_path):
    rules = [{"measure": "rejection_rate", "above": 0.1}, *WATCH["rules"][:2]]
    for name, one, two in (("later", "ok", "rejected"), ("earlier", "rejected", "ok")):
        records = [item for n in range(366) for item in (
            outcome(n, n / 3, status=one), outcome(n, n / 3, status=two))]  # fmt: skip
        watch = run(*declare(tmp_path / name, WATCH, records, rules=rules))
        assert watch.decision["decision"] == "roll back"
        assert watch.decision["why"][0].startswith("rejection_rate is shown")
        assert watch.faults.counts["a later record differs; the worse counts"] > 3


def test_what_is_said_later_of_old_studies_is_no_sign_of_life(tmp_path):
    again = [outcome(n, 60 + n / 3, latency_s=7.0) for n in range(180)]
    found = decision(tmp_path, outcomes(60) + again)
    assert found["decision"] == "roll back"
    assert found["why"][0].startswith("no record of version 2 for")


def test_a_window_of_a_rule_in_which_nothing_was_seen_is_not_evaluated(tmp_path):
    rules = [WATCH["rules"][0], WATCH["rules"][2] | {"over_min": 30}]
    records = [one for one in outcomes() if "version" in one or one["time"] < at(80)]
    found = decision(tmp_path, records, rules=rules)
    assert found["decision"] == "hold"
    assert found["why"] == [
        "critical_misses is NOT EVALUATED (0 of 0 bad, 0 lack its field; it needs 10): hold"
    ]


def entries(watch, *events):
    return [entry for entry in watch.log.entries() if entry["event"] in events]


def test_a_stream_that_is_not_there_yet_is_silence(tmp_path):
    config, stream = declare(tmp_path, WATCH, outcomes())
    text = stream.read_text()
    stream.unlink()
    with pytest.raises(HarnessError, match="no such file"):
        run(config, stream)
    assert run(config, stream, now=START + 60, patient=True).decision is None
    stream.write_text(text)
    watch = run(config, stream, now=START + 120, patient=True)
    assert watch.decision["decision"] == "keep"
    assert [entry["event"] for entry in entries(watch, "lost", "found")] == ["lost", "found"]


def cut(stream):
    stream.write_text(stream.read_text()[:900])


def replace(stream):
    other = stream.with_name("other")
    other.write_text(lines(outcomes(119, latency_s=7.0)))
    other.rename(stream)


@pytest.mark.parametrize("harm", [cut, replace, os.remove])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_stream_that_was_cut_is_silence_whoever_goes_on(tmp_path, harm, restarted):
    config, stream = declare(tmp_path, WATCH, outcomes(30))
    with Watch.opened(config, stream, tmp_path / "out", True) as watch:
        watch.advance(START + 31 * 60)
        harm(stream)
        if not restarted:
            watch.advance(START + 32 * 60)
            assert watch.decision is None
            watch.advance(START + 41 * 60)
            assert watch.decision is None
            watch.advance(START + 42.5 * 60)
            found = watch.decision
    if restarted:
        for minute in (32, 41, 42.5):
            found = run(config, stream, now=START + 60 * minute, patient=True).decision
    assert found["decision"] == "roll back"
    assert found["why"][0].startswith("no stream for 10.5 minutes: ")
    assert run(config, stream, now=PAST, patient=True).decision == found


def test_a_stream_that_comes_back_whole_goes_on(tmp_path):
    config, stream = declare(tmp_path, WATCH, outcomes())
    whole = stream.read_text()
    stream.write_text(whole[:20_000])
    with Watch.opened(config, stream, tmp_path / "out", True) as watch:
        watch.advance(NEVER)
        stream.rename(tmp_path / "away")
        watch.advance(START + 3600)
        assert watch.lost is not None
        (tmp_path / "away").rename(stream)
        stream.write_text(whole)
        watch.advance(START + 3660)
    assert watch.lost is None
    assert watch.decision["decision"] == "keep"
    at_once = run(*declare(tmp_path / "once", WATCH, outcomes()))
    assert entries(watch, "look")[-1]["content"] == entries(at_once, "look")[-1]["content"]
    assert watch.last["rules"] == at_once.last["rules"]


def test_following_a_stream_that_never_comes_rolls_back(tmp_path, released):
    config, stream = declare(tmp_path / "w", WATCH, [], silence_min=0.001, start=None)
    stream.unlink()
    command = ["watch", str(config), "--stream", str(stream), "--registry", str(tmp_path / "registry"),
               "--model", "reporter", "--act", "--follow", "0.02"]  # fmt: skip
    assert main(command) == 1
    assert production(released) == "1"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"keep_confidence": 0.5}, "greater than or equal to 0.95"),
        ({"false_rollbacks": 0.5}, "less than or equal to 0.2"),
    ],
)
def test_bounds_without_meaning_are_refused(tmp_path, capsys, changed, told):
    config, stream = declare(tmp_path, WATCH, [], **changed)
    assert main(["watch", str(config), "--stream", str(stream)]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"latency_s": 90.0}, "latency"),
        ({"status": "failed"}, "failure_rate"),
        ({"status": "late"}, "failure_rate"),
    ],
)
def test_an_incident_is_rolled_back_within_ten_minutes(tmp_path, changed, why):
    records = [one | changed if "version" in one and one["time"] >= at(30) else one for one in outcomes()]
    found = decision(tmp_path, records)
    assert found["decision"] == "roll back"
    assert any(line.startswith(f"{why} is shown") for line in found["why"])
    assert 0 < delay(found, 30) <= 10


def test_critical_misses_are_rolled_back(tmp_path):
    records = [one | {"critical_missed": True} if "critical_missed" in one else one for one in outcomes()]
    assert "critical_misses" in decision(tmp_path, records)["why"][0]


def test_silence_is_rolled_back_while_others_go_on(tmp_path):
    records = outcomes(60) + [outcome(10_000 + n, 60 + n, version="1") for n in range(60)]
    found = decision(tmp_path, records)
    assert found["decision"] == "roll back"
    assert found["why"][0].startswith("no record of version 2 for")
    assert delay(found, 60) <= 15


@pytest.mark.parametrize("records", [[], [outcome(n, n, version="1") for n in range(130)]])
def test_an_empty_window_is_rolled_back(tmp_path, records):
    assert decision(tmp_path, records, now=PAST)["decision"] == "roll back"


def test_the_machine_clock_finds_a_stream_that_fell_silent(tmp_path):
    config, stream = declare(tmp_path, WATCH, outcomes(20))
    assert run(config, stream, now=START + 25 * 60).decision is None
    assert run(config, stream, now=START + 40 * 60).decision["decision"] == "roll back"


@pytest.mark.parametrize(("otherwise", "wanted"), [("hold", "hold"), ("roll back", "roll back")])
def test_without_readings_it_does_what_was_declared(tmp_path, otherwise, wanted):
    rules = [*WATCH["rules"][:2], WATCH["rules"][2] | {"otherwise": otherwise}]
    records = [one for one in outcomes() if "version" in one]
    found = decision(tmp_path, records, rules=rules)
    assert found["decision"] == wanted
    assert "NOT EVALUATED" in found["why"][0]


def test_a_field_that_disappears_is_not_evaluated(tmp_path):
    records = [
        {key: value for key, value in one.items() if key != "latency_s" or n % 4}
        for n, one in enumerate(outcomes())
    ]
    found = decision(tmp_path, records)
    assert found["decision"] == "roll back"
    assert "lack its field" in found["why"][0]


def test_records_of_the_monitor_will_do(tmp_path):
    records = [
        {"study_id": f"m{n}", "time": at(n / 3), "version": "2", "latency_s": None if n % 3 == 0 else 5.0,
         "findings": [], "rejected": False} for n in range(366)
    ]  # fmt: skip
    assert decision(tmp_path, records)["why"][0].startswith("failure_rate is shown")


@pytest.fixture
def messy():
    records = outcomes()
    rng = random.Random(5)
    for _ in range(12):
        records.insert(rng.randrange(300), rng.choice(records[:300]))
    for _ in range(6):
        place = rng.randrange(200)
        records.insert(place + 20, records.pop(place))  # late, and clocks that go back
    records.insert(40, outcome(900, 5) | {"time": "2031-01-01T00:00:00Z"})
    records.insert(50, outcome(901, 5) | {"time": "yesterday"})
    records.insert(60, {"time": at(9), "study_id": "x", "status": "ok"})
    return lines(records[:80]) + "{broken\n" + lines(records[80:])


def test_a_messy_stream_is_counted_and_kept(tmp_path, messy):
    config, stream = declare(tmp_path, WATCH, [])
    stream.write_text(messy)
    watch = run(config, stream)
    assert watch.decision["decision"] == "keep"
    assert {
        "duplicate",
        "clock went back",
        "not JSON",
        "no version",
        "clock far from the stream's time",
    } <= set(watch.faults.counts)
    assert "JONES" not in (tmp_path / "out" / "log.jsonl").read_text()


class Crash(BaseException):
    pass


def test_crashes_and_pieces_give_the_same_decisions(tmp_path, messy, monkeypatch):
    config, stream = declare(tmp_path / "whole", WATCH, [])
    stream.write_text(messy)
    run(config, stream)
    whole = [entry for entry in log(tmp_path / "whole" / "out") if entry["event"] != "read"]
    config, stream = declare(tmp_path / "pieces", WATCH, [])
    append, rng = Chain.append, random.Random(2)

    def failing(self, event, **facts):
        entry = append(self, event, **facts)
        if rng.random() < 0.2:
            raise Crash
        return entry

    monkeypatch.setattr(Chain, "append", failing)
    crashes = 0
    for cut in range(2_000, len(messy) + 9_999, 8_000):
        stream.write_text(messy[:cut])
        for _ in range(50):
            try:
                run(config, stream)
                break
            except Crash:
                crashes += 1
    assert crashes > 2
    assert [entry for entry in log(tmp_path / "pieces" / "out") if entry["event"] != "read"] == whole


def test_crashes_while_the_stream_is_away_change_nothing(tmp_path, messy, monkeypatch):
    def rounds(folder, run):
        config, stream = declare(tmp_path / folder, WATCH, [])
        for minute, there in enumerate((0, 9_000, 0, 0, 20_000, 0)):
            if there:
                stream.write_text(messy[:there])
            else:
                stream.unlink(missing_ok=True)
            run(config, stream, START + 60 * (20 + minute))
        run(config, stream, START + 60 * 36)
        return tmp_path / folder / "out"

    def whole(config, stream, now):
        run(config, stream, now=now, patient=True)

    wanted = [entry for entry in log(rounds("whole", whole)) if entry["event"] != "read"]
    assert [entry["event"] for entry in wanted if entry["event"] in ("lost", "found")] == [
        "lost", "found", "lost", "found", "lost"
    ]  # fmt: skip
    assert wanted[-1]["why"][0].startswith("no stream for 11 minutes")
    append, rng, crashes = Chain.append, random.Random(4), []

    def failing(self, event, **facts):
        entry = append(self, event, **facts)
        if rng.random() < 0.4:
            raise Crash
        return entry

    def dying(config, stream, now):
        for _ in range(50):
            try:
                run(config, stream, now=now, patient=True)
                break
            except Crash:
                crashes.append(now)

    monkeypatch.setattr(Chain, "append", failing)
    found = [entry for entry in log(rounds("dying", dying)) if entry["event"] != "read"]
    assert len(crashes) > 2
    assert str(found).replace("/dying/", "/whole/") == str(wanted)


def test_a_log_that_was_changed_is_refused(tmp_path):
    config, stream = declare(tmp_path, WATCH, outcomes())
    run(config, stream)
    path = tmp_path / "out" / "log.jsonl"
    path.write_text(path.read_text().replace('"decision":"keep"', '"decision":"hold"'))
    with pytest.raises(LedgerError, match="was changed"):
        run(config, stream)


@pytest.fixture
def released(local_registry):
    """A registry with three versions of a model; production is at the second."""
    from registries import add_version

    for _ in range(3):
        add_version(local_registry, "reporter")
    local_registry.move_alias("reporter", "production", "1", expected=None, why="promoted")
    local_registry.move_alias("reporter", "production", "2", expected="1", why="promoted")
    return local_registry


def failing_watch(tmp_path):
    return declare(tmp_path / "w", WATCH, outcomes(60, status="failed"))


def production(registry):
    return registry.version_at("reporter", "production").version


def test_without_act_it_says_and_with_act_it_moves_once(tmp_path, released, capsys):
    config, stream = failing_watch(tmp_path)
    command = ["watch", str(config), "--stream", str(stream), "--registry", str(tmp_path / "registry"),
               "--model", "reporter"]  # fmt: skip
    assert main(command) == 1
    assert "Nothing was moved" in capsys.readouterr().out
    assert production(released) == "2"
    assert main([*command, "--act"]) == 1
    assert "moved from version 2 back to version 1" in capsys.readouterr().out
    assert production(released) == "1"
    released.move_alias("reporter", "production", "2", expected="1", why="promoted")
    assert main([*command, "--act"]) == 1
    assert production(released) == "2"  # it was done once, and is not done again


@pytest.mark.parametrize("where", ["decided", "moved"])
def test_killed_between_decision_and_move_it_moves_exactly_once(tmp_path, released, where):
    config, stream = failing_watch(tmp_path)
    code = (
        "import os, signal, sys\n"
        "from harness.chain import Chain\n"
        "append = Chain.append\n"
        "def dying(self, event, **facts):\n"
        f"    if event == 'settled' and {where == 'moved'}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    entry = append(self, event, **facts)\n"
        f"    if event == 'decision' and {where == 'decided'}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return entry\n"
        "Chain.append = dying\n"
        "from harness.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    command = ["watch", str(config), "--stream", str(stream), "--registry", str(tmp_path / "registry"),
               "--model", "reporter", "--act"]  # fmt: skip
    died = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, env=os.environ)
    assert died.returncode == -signal.SIGKILL
    assert production(released) == ("2" if where == "decided" else "1")
    assert main(command) == 1
    assert production(released) == "1"
    settled = [entry for entry in log(tmp_path / "w" / "stream-watch") if entry["event"] == "settled"]
    assert [entry["moved"] for entry in settled] == [True]


def test_where_somebody_else_moved_it_it_is_left_and_said(tmp_path, released):
    config, stream = failing_watch(tmp_path)
    with Watch.opened(config, stream, tmp_path / "out") as watch:
        watch.advance(NEVER)
        released.move_alias("reporter", "production", "3", expected="2", why="promoted")
        told = roll_back(watch, Alias(released, "reporter", "production"))
    assert "at version 3: somebody else moved it" in told
    assert production(released) == "3"


def test_a_registry_that_does_not_answer_in_the_middle_is_tried_again(
    tmp_path, released, monkeypatch, capsys
):
    from harness.registry import Registry

    config, stream = failing_watch(tmp_path)
    command = ["watch", str(config), "--stream", str(stream), "--registry", str(tmp_path / "registry"),
               "--model", "reporter", "--act"]  # fmt: skip

    def down(self, *args, **kwargs):
        raise RegistryUnreachable("registry does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "move_alias", down)
        assert main(command) == 1
    assert "NOT MOVED: registry does not answer" in " ".join(capsys.readouterr().out.split())
    assert production(released) == "2"
    assert main(command) == 1
    assert production(released) == "1"


def test_unknown_models_and_aliases_are_refused(tmp_path, released, capsys):
    config, stream = declare(tmp_path / "w", WATCH, [])
    common = ["watch", str(config), "--stream", str(stream), "--registry", str(tmp_path / "registry")]
    assert main([*common, "--model", "reporter", "--alias", "prodcution"]) == 2
    assert "has no alias prodcution; there: reporter@production" in capsys.readouterr().err
    assert main([*common, "--model", "other"]) == 2
    assert "no model other; there: reporter" in capsys.readouterr().err
    assert main([*common, "--act"]) == 2
    with Watch.opened(config, stream, tmp_path / "o") as watch:
        released.move_alias("reporter", "production", "3", expected="2", why="promoted")
        with pytest.raises(HarnessError, match="nothing to watch"):
            Alias(released, "reporter", "production").check(watch)


def test_the_command_line_says_what_was_decided(tmp_path, capsys):
    config, stream = declare(tmp_path, WATCH, outcomes())
    assert main(["watch", str(config), "--stream", str(stream)]) == 0
    assert "Decision: KEEP" in capsys.readouterr().out
    config.write_text("name: x\nversion: 1\ngreen: '2'\nblue: '2'\nrules: [{measure: latency, abov: 3}]\n")
    assert main(["watch", str(config), "--stream", str(stream), "--out", str(tmp_path / "n")]) == 2
    assert "did you mean above?" in capsys.readouterr().err


def test_a_timer_that_finds_no_stream_takes_it_for_silence_once_begun(tmp_path, capsys):
    soon = datetime.now(UTC) - timedelta(minutes=30)
    config, stream = declare(tmp_path, WATCH, [], start=soon.isoformat())
    words = ["watch", str(config), "--stream", str(stream)]
    stream.unlink()
    assert main(words) == 2
    assert "no such file or folder" in capsys.readouterr().err
    assert not (tmp_path / "stream-watch").exists()
    record = outcome(1, 0) | {"time": soon.isoformat()}
    stream.write_text(lines([record]))
    with Watch.opened(config, stream, tmp_path / "stream-watch") as watch:
        watch.advance(soon.timestamp() + 60)
    stream.unlink()
    with Watch.opened(config, stream, tmp_path / "stream-watch", patient=True) as watch:
        watch.advance(soon.timestamp() + 120)
        assert (watch.decision, watch.lost is None) == (None, False)
    assert main(words) == 1  # half an hour later
    assert "no stream for" in capsys.readouterr().out
    assert main(words) == 1
