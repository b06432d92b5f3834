"""From a verdict to production."""
