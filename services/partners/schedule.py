"""When a message is tried again, and what an answer means."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

from services.settings import Settings

MULTIPLES = (1, 60, 360, 1_440, 3_600, 7_200, 10_080, 14_400, 17_280)
"""Pauses between attempts, in units of NOM_WEBHOOK_RETRY_MS. With its default of five seconds they
are those of Standard Webhooks: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h."""
ATTEMPTS_MAX = len(MULTIPLES) + 1
JITTER = 0.2
"""Part of a pause by which it varies, so that what failed together does not come back together."""
FAILURES_STEADY = 5
"""Failures in a row after which an endpoint is only probed, with one message at a time."""
PAUSE_FIRST_S = 1.0
THROTTLED = frozenset({429, 503})
"""Answers whose Retry-After is about the endpoint and not about one message."""
GONE = 410

Meaning = Literal["delivered", "gone", "failed"]


def utc_now() -> datetime:
    """Return this machine's clock, which receivers compare signatures with."""
    return datetime.now(UTC)


def meaning(status_code: int | None) -> Meaning:
    """Return what an answer means; none at all is a failure.

    Only 2xx is success. 410 says that nothing more is wanted. Everything else, redirects and all
    other 4xx included, may be a receiver that is being repaired, and is tried again.
    """
    if status_code is not None and 200 <= status_code < 300:
        return "delivered"
    return "gone" if status_code == GONE else "failed"


def pause_s(attempts: int, settings: Settings, chance: random.Random) -> float | None:
    """Return how long to wait after so many attempts; None when there are no more."""
    if attempts >= ATTEMPTS_MAX:
        return None
    plain = settings.webhook_retry_ms / 1000 * MULTIPLES[attempts - 1]
    return plain * (1 + JITTER * chance.uniform(-1, 1))


def endpoint_pause_s(failures: int, settings: Settings) -> float:
    """Return how long an endpoint that failed so often in a row is left alone."""
    if failures < FAILURES_STEADY:
        return 0.0
    longest = settings.webhook_pause_max_ms / 1000
    # The exponent is bounded because a float is: an endpoint may fail a thousand times in a row.
    return min(longest, PAUSE_FIRST_S * 2.0 ** min(failures - FAILURES_STEADY, 30))


def retry_after_s(headers: Mapping[str, str], now: datetime, settings: Settings) -> float | None:
    """Return for how long a receiver asks to be left alone, within bounds; None if it does not.

    Takes seconds and dates, as RFC 9110 does; anything else says nothing.
    """
    given = headers.get("Retry-After", "").strip()
    if given.isascii() and given.isdigit() and len(given) <= 9:
        asked = float(given)
    else:
        try:
            until = parsedate_to_datetime(given)
        except (ValueError, OverflowError):
            # The latter for numbers that no date can have: nothing a receiver says may stop us.
            return None
        if until.tzinfo is None:
            until = until.replace(tzinfo=UTC)
        asked = (until - now).total_seconds()
    return min(max(asked, 0.0), float(settings.webhook_retry_after_max_s))


def is_given_up(failing_since: datetime | None, now: datetime, settings: Settings) -> bool:
    """Tell whether an endpoint has only failed for so long that nothing more is sent to it."""
    if failing_since is None:
        return False
    return now - failing_since >= timedelta(hours=settings.webhook_disable_after_h)
