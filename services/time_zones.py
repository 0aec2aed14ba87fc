"""Which time zones there are."""

from functools import cache
from zoneinfo import available_timezones


@cache
def time_zones() -> frozenset[str]:
    """Return the names of all zones; looking for them reads hundreds of files, once."""
    return frozenset(available_timezones())
