"""`harness serve` as a process of its own, for tests."""

import contextlib
import os
import subprocess
import sys


@contextlib.contextmanager
def serving(*options, candidate="template"):
    """The URL of a service that is ready; it is ended with SIGTERM."""
    command = [sys.executable, "-m", "harness", "serve", "--candidate", candidate, "--port", "0", *options]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        for line in process.stdout:
            if line.startswith("listening on "):
                break
        else:
            raise AssertionError(f"harness serve ended with {process.wait()}")
        yield line.split()[-1]
    finally:
        process.terminate()
        process.wait(60)
