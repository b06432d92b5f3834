"""MLflow's stores, reached quietly: no telemetry, no chatter, errors that name the registry."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from harness.errors import RegistryError, RegistryUnreachable

DEFAULT_FOLDER: Final = Path("registry")
_DATABASE: Final = "registry.db"
_SETTINGS: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_PATIENCE: Final = {
    # MLflow's own are 7 retries of up to 120 s: half an hour before anybody is told.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
_DOWN: Final = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")


@dataclass(frozen=True, slots=True)
class Store:
    """Where a registry is kept."""

    registry: str
    """MLflow's registry URI."""
    tracking: str
    """MLflow's tracking URI: it keeps the files of versions."""
    folder: Path
    """Where the log of moves lies; for a local store the database and the files too."""

    @property
    def database(self) -> Path | None:
        """The file of a local store, with no server; None where there is one."""
        found = re.fullmatch(r"sqlite:///([^?]+)(\?.*)?", self.registry)
        return Path(found[1]) if found else None

    @property
    def begun(self) -> bool:
        """Whether there can be anything in it; a local store is made when it is first written to."""
        return self.database is None or self.database.exists()

    @property
    def shown(self) -> str:
        """The registry's address without the credentials that it may hold."""
        return re.sub(r"//[^/@]*@", "//", self.registry)

    @property
    def artifacts(self) -> str | None:
        """Where new files go; None where the server decides."""
        return (self.folder.absolute() / "artifacts").as_uri() if self.database else None


def find_store(uri: str | None = None, folder: Path | None = None) -> Store:
    """The store that a URI, the environment or the default names, in this order.

    Args:
        uri: `http://...`, `sqlite:///FILE` or another that MLflow knows, or the folder of a local store.
        folder: of the log of moves; beside the database for a local store, else `registry`.
    """
    registry = uri or os.environ.get("MLFLOW_REGISTRY_URI") or os.environ.get("MLFLOW_TRACKING_URI")
    tracking = uri or os.environ.get("MLFLOW_TRACKING_URI") or registry
    if not registry or ":" not in registry:
        home = Path(registry or folder or DEFAULT_FOLDER)
        registry = tracking = f"sqlite:///{home / _DATABASE}"
    store = Store(registry, tracking or registry, folder or DEFAULT_FOLDER)
    return replace(store, folder=store.database.parent) if store.database else store


def open_client(store: Store) -> Any:
    """An `mlflow.MlflowClient`; a local store that is not there yet is made.

    Raises:
        RegistryError: mlflow is not installed, or the store cannot be made.
        RegistryUnreachable: no answer.
    """
    os.environ.update(_SETTINGS)
    for name, setting in _PATIENCE.items():
        os.environ.setdefault(name, setting)
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise RegistryError('mlflow is not installed; pip install "harness[registry]"') from None
    # It tells of migrations and retries, and prints the tracebacks of what it then raises.
    for logger in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    if store.database:
        try:
            store.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RegistryError(f"{store.folder}: cannot be written: {error.strerror}") from None
    with speaking_to(store):
        return MlflowClient(tracking_uri=store.tracking, registry_uri=store.registry)


@contextlib.contextmanager
def speaking_to(store: Store) -> Iterator[None]:
    """Turns what MLflow raises into errors that name the registry and the remedy.

    Raises:
        RegistryUnreachable: no answer, or none that can be used.
        RegistryError: it refuses.
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (RequestException, SQLAlchemyError, OSError) as error:
        raise _unreachable(store, getattr(error, "strerror", None) or type(error).__name__) from None
    except MlflowException as error:
        # Its messages may hold addresses with credentials, or a whole page of HTML.
        if error.error_code in _DOWN:
            raise _unreachable(store, error.error_code) from None
        first = str(error).strip().partition("\n")[0]
        told = re.sub(r"//[^/@\s]*@", "//", first)[:300]
        raise RegistryError(f"registry {store.shown}: {told}") from None


def code_of(error: BaseException) -> str:
    """MLflow's error code of an exception, "" where it has none."""
    return str(getattr(error, "error_code", ""))


def _unreachable(store: Store, why: str) -> RegistryUnreachable:
    return RegistryUnreachable(
        f"registry {store.shown} does not answer ({why}). No alias is half moved: the same command goes "
        "on when it does"
    )
