"""Report text to labels and graphs."""
