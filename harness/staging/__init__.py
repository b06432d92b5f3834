"""Between verdict and routine: in the shadow of production, then the first hours after the switch.

Both read a stream of records once, in an order that their log remembers: a resume sees the same records
before the same look, so no look is lost, taken twice, or taken after the data were seen.
"""

from harness.staging.shadow_result import ShadowResult, read_shadow

__all__ = ["ShadowResult", "read_shadow"]
