"""What each setting may be: a range by its unit, or the words it knows, each said in words, too."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

import msgspec

Network = IPv4Network | IPv6Network

LONGEST = {
    "_ms": 86_400_000,
    "_per_s": 1_000_000,
    "_s": 31_622_400,
    "_h": 8_784,
    "_days": 3_660,
    "_percent": 1_000,
    "_bytes_max": 1_000_000_000_000,
    "_minor": 1_000_000_000_000,
}
"""The most a setting may be by the unit it ends with: a day, a year, ten years, a terabyte."""
COUNT_MAX = 1_000_000
RANGES = {
    "port": (0, 65_535),
    "workers": (1, 1_024),
    "lanes": (1, 1_024),
    "solver_threads": (1, 1_024),
    "head_bytes_max": (1_024, 16_777_216),
    "body_bytes_max": (1_024, 1_000_000_000),
    "webhook_body_bytes_max": (1, 16_777_216),
    "key_cache_s": (0, 5),
    "event_stream_s": (0.1, 86_400),
    "event_heartbeat_s": (0.1, 3_600),
    "request_burst_s": (0.001, 86_400),
    "import_chunk_rows": (1, 5_000),
}
"""Those whose range is their own: no caller may use a revoked key for longer than 5 s."""
FROM_ZERO = frozenset(
    {
        "answer_limit_s",
        "answers_kept_bytes_max",
        "attempts_per_line_max",
        "checkout_requests_per_s",
        "collect_days",
        "contact_days",
        "dimensional_divisor",
        "event_streams_max",
        "event_streams_per_key_max",
        "feed_stale_h",
        "hindsight_orders_max",
        "operator_requests_per_s",
        "partner_requests_per_s",
        "planner_requests_per_s",
        "prices_orders_max",
        "prices_refresh_s",
        "prices_replay_orders_min",
        "prices_replay_periods",
        "queue_wait_ms",
        "rearrange_moves_max",
        "rearrange_saving_minor",
        "receipt_over_percent",
        "refusal_ms",
        "refusals_held_max",
        "release_window_s",
        "resource_tries",
        "secret_overlap_h",
        "sign_in_address_max",
        "store_requests_per_s",
        "supply_grace_days",
        "webhook_retry_after_max_s",
    }
)
"""Numbers that may be 0, for none, any or at once. The others are 1 or more: a job without a pause
would use up a processor, a call without time would always fail."""
LEVELS = ("debug", "info", "warning", "error")
NOT_ABOVE = (
    ("decision_min_ms", "decision_ms"),
    ("decision_ms", "deadline_ms"),
    ("hold_default_s", "hold_max_s"),
    ("hold_max_s", "hold_total_max_s"),
)
"""Pairs of which the first may not be above the second."""
URL = re.compile(r"postgres(ql(\+asyncpg)?)?://.+", re.DOTALL)
CURRENCY = re.compile(r"[A-Z]{3}")


def read(field: str, kind: type, text: str) -> object:
    """Return what `text` means for a setting of this kind; ValueError says what it may be."""
    try:
        value = Path(text) if kind is Path else msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(allowed(field, kind)) from error
    if not is_allowed(field, kind, value, text):
        raise ValueError(allowed(field, kind))
    return text.lower() if field == "log_level" else value


def is_allowed(field: str, kind: type, value: object, text: str) -> bool:
    """Whether a setting may have this value; a number that is none (NaN) is in no range."""
    if isinstance(value, (int, float)) and kind is not bool:
        low, high = bounds(field)
        return low <= value <= high
    match field:
        case "log_level":
            return text.lower() in LEVELS
        case "currency":
            return CURRENCY.fullmatch(text) is not None
        case "database_url":
            return URL.fullmatch(text) is not None
        case "webhook_allow":
            return is_networks(text)
        case _:
            return bool(text.strip())


def allowed(field: str, kind: type) -> str:
    """Return in words what a setting may be."""
    if kind is bool:
        return "true or false"
    if kind in {int, float}:
        low, high = bounds(field)
        return f"a {'whole ' if kind is int else ''}number from {low} to {high}"
    return {
        "log_level": f"{', '.join(LEVELS[:-1])} or {LEVELS[-1]}",
        "currency": "an ISO 4217 code like EUR",
        "database_url": "a URL like postgresql://user@host/nom, or leave it out",
        "webhook_allow": "networks like 10.1.0.0/16, with commas between them",
        "home": "the path of a folder",
    }.get(field, "an address like 127.0.0.1")


def bounds(field: str) -> tuple[float, float]:
    """Return the least and the most that a number may be."""
    if field in RANGES:
        return RANGES[field]
    most = next((high for unit, high in LONGEST.items() if field.endswith(unit)), COUNT_MAX)
    return (0 if field in FROM_ZERO else 1), most


def networks(text: str) -> tuple[Network, ...]:
    """Return the networks that stand in `text` between commas; raises ValueError for what is none."""
    parts = (part.strip() for part in text.split(","))
    return tuple(ip_network(part) for part in parts if part)


def is_networks(text: str) -> bool:
    """Whether all that stands between commas are networks."""
    try:
        networks(text)
    except ValueError:
        return False
    return True


def one_above_another(settings: msgspec.Struct, told: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of settings that contradict each other, without those `told` to be wrong."""
    wrong = set(told)
    return [
        (low, high)
        for low, high in NOT_ABOVE
        if not {low, high} & wrong and getattr(settings, low) > getattr(settings, high)
    ]
