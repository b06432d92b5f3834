"""What software a run was made with: its environment, and the bill of materials in CycloneDX."""

from __future__ import annotations

import json
import uuid
from typing import Any

from harness.digests import digest_value
from harness.errors import HarnessError


def bill_of_materials(environment: dict[str, Any], revision: str) -> bytes:
    """The installed distributions as CycloneDX 1.6 JSON.

    It is a function of its arguments alone: the serial number is that of the content (UUID of version 5
    of its SHA-256), there is no time stamp, and the order is that of the names.

    Args:
        environment: as `harness.digests.environment` gives it.
        revision: of the harness's source, "" where unknown.

    Raises:
        HarnessError: cyclonedx-python-lib is not installed.
    """
    try:
        from cyclonedx.model.bom import Bom
        from cyclonedx.model.component import Component, ComponentType
        from cyclonedx.output.json import JsonV1Dot6
        from packageurl import PackageURL
    except ImportError:
        raise HarnessError('CycloneDX is not installed; pip install "harness[packet]"') from None
    packages: dict[str, str] = dict(environment["packages"])
    harness = packages.pop("harness", "")
    version = f"{harness}+{revision[:12]}" if revision else harness
    main = Component(name="harness", version=version, type=ComponentType.APPLICATION, bom_ref="harness")
    components = [
        Component(
            name=name,
            version=found,
            type=ComponentType.LIBRARY,
            bom_ref=f"{name}@{found}",
            purl=PackageURL("pypi", None, name.replace("_", "-"), found),
        )
        for name, found in sorted(packages.items())
    ]
    python = str(environment["python"])
    components.append(
        Component(name="python", version=python, type=ComponentType.PLATFORM, bom_ref=f"python@{python}")
    )
    bom = Bom(components=components)
    bom.metadata.component = main
    bom.register_dependency(main, components)
    content = json.loads(JsonV1Dot6(bom).output_as_string())
    content["metadata"].pop("timestamp", None)
    content.pop("serialNumber", None)
    for key in ("components", "dependencies"):
        content[key] = sorted(content[key], key=lambda item: str(item.get("bom-ref") or item.get("ref")))
    content["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest_value(content))}"
    return json.dumps(content, indent=1, sort_keys=True).encode() + b"\n"
