"""`harness monitor`, `harness cost` and `harness phantom stream` as a user meets them."""

import pytest

from harness.cli import main
from production import folder, report, steady


def test_quiet_alert_and_not_evaluated_are_0_1_and_3(tmp_path, capsys):
    quiet = folder(tmp_path / "quiet", steady(30))
    assert main(["monitor", "--config", str(quiet)]) == 0
    out = capsys.readouterr().out
    assert "State: QUIET" in out
    assert "status.html" in out
    slow = [report(f"t{n}", 6 + n / 12, latency_s=90.0) for n in range(30)]
    assert main(["monitor", "--config", str(folder(tmp_path / "alert", steady(6) + slow))]) == 1
    out = capsys.readouterr().out
    assert "scale up: lower 99." in out
    assert main(["monitor", "--config", str(folder(tmp_path / "few", steady(3)))]) == 3


def test_given_again_it_judges_nothing_twice(tmp_path, capsys):
    path = str(folder(tmp_path, steady(14)))
    main(["monitor", "--config", path])
    first = (tmp_path / "monitor" / "log.jsonl").read_bytes()
    capsys.readouterr()
    main(["monitor", "--config", path])
    assert "0 judged now, 13 in all" in capsys.readouterr().out
    assert (tmp_path / "monitor" / "log.jsonl").read_bytes() == first


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda root: (root / "monitor.yaml").write_text("name: x\n"), "stream: missing"),
        (lambda root: (root / "reference.jsonl").unlink(), "reference.jsonl: no such file"),
        (lambda root: (root / "production" / "a.jsonl").rename(root / "gone"), None),
    ],
)
def test_bad_input_ends_with_2_or_3_and_no_traceback(tmp_path, capsys, break_it, told):
    path = folder(tmp_path, steady(3))
    break_it(tmp_path)
    assert main(["monitor", "--config", str(path)]) == (2 if told else 3)
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert told is None or told in err


def test_cost_before_and_after_a_monitor_has_measured(tmp_path, capsys):
    path = str(folder(tmp_path, steady(14)))
    assert main(["cost", "--config", path]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "USD 5.9 M follows" in out
    assert "39× does not follow" in out
    assert "NOT EVALUATED" in out
    main(["monitor", "--config", path])
    capsys.readouterr()
    main(["cost", "--config", path])
    assert "48 studies/h" in capsys.readouterr().out  # 12 an hour at a quarter of the GPUs


def test_phantom_stream_refuses_what_it_cannot_plant(tmp_path, capsys):
    arguments = ["phantom", "stream", "--days", "3", "--per-day", "9", "--seed", "1", "--event", "surge"]
    assert main([*arguments, "--out", str(tmp_path / "x")]) == 2
    assert "more than 14" in capsys.readouterr().err


def test_follow_judges_what_is_added_while_it_runs(tmp_path):
    import json
    import os
    import signal
    import subprocess
    import sys
    import time

    path = folder(tmp_path, steady(4))
    # A test run in the background ignores the signal, and so would what it starts.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from harness.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "monitor", "--config", str(path), "--follow", "0.05"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    windows = tmp_path / "monitor" / "windows.jsonl"

    def wait(count):
        for _ in range(3000):
            if windows.exists() and windows.read_text().count("\n") >= count:
                return True
            time.sleep(0.1)
        return False

    try:
        assert wait(3)
        with (tmp_path / "production" / "a.jsonl").open("a") as stream:
            stream.writelines(json.dumps(record) + "\n" for record in steady(3, prefix="t", first=4))
        assert wait(6)
    finally:
        os.kill(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in told


def test_follow_needs_a_time(tmp_path, capsys):
    assert main(["monitor", "--config", str(folder(tmp_path, [])), "--follow", "0"]) == 2
    assert "above 0 seconds" in capsys.readouterr().err
