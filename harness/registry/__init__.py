"""The model registry: candidates as versions, and the aliases that say which one is used."""

from harness.registry.registry import PRODUCTION, STAGING, RegisteredVersion, Registry

__all__ = ["PRODUCTION", "STAGING", "RegisteredVersion", "Registry"]
