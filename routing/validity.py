"""From when until when dates that were worked out for one instant hold for others."""

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from routing import promise

_TICK = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


def window(
    zones: Iterable[str], cut_offs: Iterable[tuple[str, time]], now: datetime
) -> tuple[datetime, datetime]:
    """The longest stretch around `now` in which no local date and no start date changes.

    A start date changes with the local date, and right after a cut-off of a node or of a carrier;
    `cut_offs` are given with their zones, which are among `zones`.
    """
    windows = [_same_date(time_zone, now) for time_zone in sorted(zones)]
    from_at = max(start for start, _ in windows)
    until_at = min(end for _, end in windows)
    for time_zone, cut_off in cut_offs:
        last = promise.local_instant(promise.local_date(now, time_zone), cut_off, time_zone)
        if now <= last:
            until_at = min(until_at, last + _TICK)
        else:
            from_at = max(from_at, last + _TICK)
    return from_at, until_at


def _same_date(time_zone: str, now: datetime) -> tuple[datetime, datetime]:
    """A stretch around `now`, its end excluded, in which the local date stays the same.

    It runs from midnight to midnight, and where clocks are changed between them only to the change:
    clocks set back over midnight show yesterday's date again.
    """
    zone = promise.clocks(time_zone)
    local = now.astimezone(zone)
    midnight = datetime.combine(local.date(), datetime.min.time(), now.tzinfo)
    start = midnight - (local.utcoffset() or timedelta())
    return _same_offset(zone, now, start), _same_offset(zone, now, start + _DAY - _TICK) + _TICK


def _same_offset(zone: ZoneInfo, now: datetime, far: datetime) -> datetime:
    """The instant nearest to `far` up to which clocks are not changed from `now`."""
    offset = now.astimezone(zone).utcoffset()
    if far.astimezone(zone).utcoffset() == offset:
        return far
    near = now
    while abs(far - near) > _TICK:
        middle = near + (far - near) / 2
        if middle.astimezone(zone).utcoffset() == offset:
            near = middle
        else:
            far = middle
    return near
