"""`harness suite schema`: the JSON Schema of suite files, for editors."""

from __future__ import annotations

import argparse
from typing import Any


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser("suite", help="about suite files: their JSON Schema")
    inner = verb.add_subparsers(dest="what", metavar="WHAT", required=True)
    schema = inner.add_parser("schema", help="print the JSON Schema of suite files")
    schema.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Prints the schema."""
    import json

    from harness.suite import suite_schema

    print(json.dumps(suite_schema(), indent=2))
    return 0
