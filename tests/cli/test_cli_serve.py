"""`harness serve` as a process: what it prints, what it refuses, how it ends."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")
pytest.importorskip("pydicom")

from harness.cli import main  # noqa: E402 - after the packages that it needs here
from services import body_of, dicom_file  # noqa: E402

STUDIES = [f"n{number}" for number in range(30)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve")
    (folder / "dicom").mkdir()
    rows = []
    for name in STUDIES:
        dicom_file(folder / "dicom" / name, name)
        rows.append(json.dumps({"study_id": name, "report": f"Report of {name}."}))
    (folder / "p.jsonl").write_text("\n".join(rows) + "\n")
    return folder


def arguments(place, *more):
    return [
        "serve",
        "--candidate",
        f"predictions:{place / 'p.jsonl'}",
        "--images",
        f"folder:{place / 'dicom'}",
        *more,
    ]


def test_sigterm_finishes_what_was_taken_and_ends_well(place):
    command = [sys.executable, "-m", "harness", *arguments(place, "--port", "0", "--queue", "200")]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        lines = [process.stdout.readline(), process.stdout.readline()]
        assert "No second reader" in lines[0]
        url = lines[1].partition("listening on ")[2].strip()
        assert url.startswith("http://127.0.0.1:")
        found, lock = {}, threading.Lock()

        def ask(name):
            with httpx.Client(timeout=120) as client:
                answer = client.post(f"{url}/api/v1/studies/{name}/report", json=body_of(name))
            with lock:
                found[name] = answer.status_code, answer.json().get("findings_text")

        ask("n0")
        threads = [threading.Thread(target=ask, args=(name,)) for name in STUDIES[1:]]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 60
        while time.monotonic() < until:
            told = httpx.get(f"{url}/metrics", timeout=60).text
            taken = float(told.split("\nharness_service_taken ")[1].split("\n")[0])
            done = float(told.split('\nharness_service_requests_total{status="200"} ')[1].split("\n")[0])
            if taken + done >= len(STUDIES):  # all are in the service's hands
                break
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert found == {name: (200, f"Report of {name}.") for name in STUDIES}
    assert process.returncode == 0, err
    assert "n7" not in out + err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--host", "0.0.0.0"], "others can reach this address"),  # noqa: S104
        (["--workers", "0"], "must be 1 or more"),
        (["--timeout", "0"], "above 0"),
        (["--tls-key", "none"], "both"),
        (["--token-file", "none"], "no readable file"),
        (["--text-template", "none"], "no such template"),
        (["--images", "folder:none"], "no such folder"),
        (["--images", "nothing:x"], "no such source"),
        (["--candidate", "predictions:none"], "no such file"),
        (["--port", "99999"], "port"),
    ],
)
def test_what_it_does_not_start_with(place, more, told, capsys):
    assert main(arguments(place, *more)) == 2
    assert told in capsys.readouterr().err


def test_a_token_that_is_too_short(place, tmp_path, capsys):
    path = tmp_path / "token"
    path.write_text("short\n")
    assert main(arguments(place, "--token-file", str(path))) == 2
    assert "16 or more" in capsys.readouterr().err
