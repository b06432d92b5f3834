"""Finds candidates, cohorts, annotators, measures and sources by entry point, without importing them."""

from __future__ import annotations

import difflib
import sys
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from harness.errors import PluginError

Kind = Literal["candidates", "cohorts", "annotators", "measures", "sources"]


def installed(kind: Kind) -> dict[str, EntryPoint]:
    """Name -> entry point of every plugin of this kind, sorted by name; none is imported."""
    return dict(_found(kind, tuple(sys.path)))


@lru_cache
def _found(kind: Kind, path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Reading what is installed takes tens of milliseconds, and a suite asks for every measure."""
    points = entry_points(group=f"harness.{kind}")
    return {point.name: point for point in sorted(points, key=lambda point: point.name)}


def load(kind: Kind, name: str) -> Any:
    """The class behind a name.

    Raises:
        PluginError: no such plugin (with the nearest name), or it fails to import (with the cause).
    """
    found = installed(kind)
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise PluginError(f"{name}: no such {kind[:-1]}; {hint}Installed: {', '.join(found) or 'none'}")
    try:
        return found[name].load()
    except ImportError as error:
        extra = {"torch": "models", "transformers": "models", "safetensors": "models", "httpx": "service"}
        remedy = extra.get((error.name or "").partition(".")[0])
        how = f'; pip install "harness[{remedy}]"' if remedy else ""
        raise PluginError(f"{kind[:-1]} {name} ({found[name].value}) does not load: {error}{how}") from error
    except Exception as error:
        raise PluginError(
            f"{kind[:-1]} {name} ({found[name].value}) does not load: {type(error).__name__}: {error}"
        ) from error
