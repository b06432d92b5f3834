"""What goes wrong in a run's reports, how often, where, and whether it follows anything."""

from harness.error_analysis.analyse import analyse
from harness.error_analysis.model import Error, ErrorAnalysis, ErrorClass, Rate, Span

__all__ = ["Error", "ErrorAnalysis", "ErrorClass", "Rate", "Span", "analyse"]
