"""The watch: keep, hold, roll back; bad streams; the alias moved once, whatever dies."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from harness.chain import Chain
from harness.cli import main
from harness.errors import HarnessError, LedgerError, RegistryUnreachable
from harness.staging.rollback import Alias, roll_back
from harness.staging.watch import Watch
from staged import START, WATCH, at, declare, lines, log, outcome, outcomes

PAST = START + 3 * 3600
NEVER = -1.0


def run(config, stream, now=NEVER, out=None):
    with Watch.opened(config, stream, out or stream.parent / "out") as watch:
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
