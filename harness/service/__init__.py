"""A candidate behind its HTTP contract: `harness serve`."""
