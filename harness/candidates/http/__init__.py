"""A report service somewhere else, judged from outside."""
