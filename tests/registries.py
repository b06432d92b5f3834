"""Model registries for tests: a local store, a real server on loopback, and processes that die."""

import contextlib
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from harness.chain import Chain
from harness.registry import Registry
from harness.registry.versions import package, register

# Forks of a process that has mlflow loaded: a child is there in milliseconds.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "harness.promotion.promote",
        "harness.registry.versions",
        "mlflow.store.model_registry.rest_store",
        "mlflow.store.model_registry.sqlalchemy_store",
        "mlflow.store.tracking.rest_store",
        "mlflow.store.tracking.sqlalchemy_store",
    ]
)

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def make_empty_store(folder: Path) -> Path:
    """A local store with its tables: making them takes seconds, copying them does not."""
    assert Registry(str(folder)).client
    return folder / "registry.db"


def start_server(folder: Path, database: Path) -> tuple[subprocess.Popen, str]:
    """An MLflow server of one worker, and its address."""
    shutil.copy(database, folder / "server.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/server.db",
        "--artifacts-destination", f"{folder}/files",
    ]  # fmt: skip
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, env={**os.environ, **QUIET}, start_new_session=True
        )
    address, limit = f"http://127.0.0.1:{port}", time.monotonic() + 600
    while True:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):  # noqa: S310 - loopback
                return server, address
        except OSError:
            assert server.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < limit, "the server does not start"
            time.sleep(0.1)


def stop_server(server: subprocess.Popen) -> None:
    os.killpg(server.pid, signal.SIGTERM)
    server.wait(30)


def make_weights(folder: Path, content: str = "weights") -> str:
    """The locator of a candidate whose files are a folder; nothing of it needs to load."""
    (folder / "more").mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_text(content)
    (folder / "config.json").write_text("{}")
    (folder / "more" / "thresholds.json").write_text("{}")
    return f"template:{folder}"


def add_version(registry: Registry, name: str) -> str:
    """The number of a new version, for tests that move aliases and read no files."""
    with contextlib.suppress(Exception):
        registry.client.create_registered_model(name)
    return str(registry.client.create_model_version(name, "s3://bucket/files", await_creation_for=0).version)


class Dying:
    """MLflow's client in a process that dies before its nth write; tags one after the other are one."""

    WRITES = ("create_", "set_", "delete_", "log_")

    def __init__(self, client, step: int) -> None:
        self._client, self._left, self._last = client, step, ""

    def __getattr__(self, name):
        if name.startswith(self.WRITES):
            self.step(name)
        return getattr(self._client, name)

    def step(self, name: str) -> None:
        if (name, name) != (self._last, "set_model_version_tag"):
            self._left -= 1
        self._last = name
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Flaky:
    """The registry out of reach from its client's nth call on."""

    def __init__(self, registry: Registry, calls: int) -> None:
        self._registry, self._client, self._left = registry, registry.client, calls

    def __enter__(self) -> None:
        self._registry.__dict__["client"] = self

    def __exit__(self, *_) -> None:
        self._registry.__dict__["client"] = self._client

    def __getattr__(self, name):
        self._left -= 1
        if self._left < 0:
            raise ConnectionError("connection refused")
        return getattr(self._client, name)


def dying(registry: Registry, step: int) -> Registry:
    """The same registry, in whose hands this process dies; lines of its log are writes too."""
    client, append = Dying(registry.client, step), Chain.append

    def append_or_die(chain, event, **facts):
        client.step(event)
        return append(chain, event, **facts)

    Chain.append = append_or_die
    registry.__dict__["client"] = client
    return registry


def registering(uri, folder, step, name, locator):
    """What a child does: registers a candidate, and may die on the way."""
    register(dying(Registry(uri, folder), step), name, package(locator))


def moving(uri, folder, step, name, version, expected):
    """What a child does: moves an alias, and may die on the way."""
    registry = dying(Registry(uri, folder), step)
    registry.move_alias(name, "production", version, expected=expected, why="test", facts={"ledger": "ab"})


def in_child(act, *arguments) -> int:
    """Runs in a process of its own; its exit code, -9 where it was killed."""
    child = FORKS.Process(target=act, args=arguments)
    child.start()
    child.join(600)  # a busy machine is no failure
    return child.exitcode
