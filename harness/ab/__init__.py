"""Two models compared on live ratings: design, export, effects, checks, decision, page."""
