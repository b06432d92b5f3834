"""From a trained checkpoint to a package that runs without torch, and the proof that nothing was lost.

`prepare` writes a package, `manifest` is what one says of itself, `pictures` checks what is put in,
`parity` compares it with the checkpoint it was made from.
"""

from harness.deployment.manifest import DeploymentConfig, Manifest, read_package
from harness.deployment.prepare import prepare_for_deployment

__all__ = ["DeploymentConfig", "Manifest", "prepare_for_deployment", "read_package"]
