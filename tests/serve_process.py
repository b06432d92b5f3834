"""`harness serve` as a process of its own, for tests."""

import contextlib
import os
import subprocess
import sys


@contextlib.contextmanager
def serving(*options, candidate="template", log=os.devnull):
    """The URL of a service that is ready; it is ended with SIGTERM. What it logs is written to a file."""
    with started(*options, candidate=candidate, log=log) as (_, url):
        yield url


@contextlib.contextmanager
def started(*options, candidate="template", log=os.devnull):
    """The process of a service that is ready, and its URL."""
    command = [sys.executable, "-m", "harness", "serve", "--candidate", candidate, "--port", "0", *options]
    with open(log, "w") as err:  # no pipe, which would fill up and hold the service
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    try:
        for line in process.stdout:
            if line.startswith("listening on "):
                break
        else:
            raise AssertionError(f"harness serve ended with {process.wait()}")
        yield process, line.split()[-1]
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()
