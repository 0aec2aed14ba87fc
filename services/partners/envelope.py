"""What a message looks like when it goes out: its data, and what is put around them."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from services.events.discreet import theirs
from services.partners.records import Due

TYPES = {
    "standard": "application/json",
    "cloudevents": "application/cloudevents+json",
}
"""Content types by envelope."""
SOURCE = "/v1/events"
"""What CloudEvents calls the source: the log in which the event stands."""
Envelope = Literal["standard", "cloudevents"]


def render(
    message: Due,
    envelope: Envelope,
    *,
    partner: bool,
    details: Mapping[str, object],
    bytes_max: int,
) -> bytes:
    """Return the body of a message; `details` are added to what its event tells.

    One that is larger than `bytes_max` names what it is about and says that it is cut short; the
    rest is to be read from the API.
    """
    data = {**data_of(message, partner=partner), **details}
    body = wrapped(message, envelope, data)
    if len(body) <= bytes_max:
        return body
    brief = {name: data[name] for name in data if isinstance(data[name], str | int)}
    return wrapped(message, envelope, {**brief, "cut_short": True})


def data_of(message: Due, *, partner: bool) -> dict[str, object]:
    """Return what an event tells a partner, or the company itself."""
    payload = message.payload or {}
    about: dict[str, object] = {
        "event_id": str(message.event_id),
        "position": message.position,
        "subject": message.subject,
    }
    return about | (theirs(payload) if partner else dict(payload))


def wrapped(message: Due, envelope: Envelope, data: Mapping[str, object]) -> bytes:
    """Return the JSON of a message in its envelope."""
    if envelope == "standard":
        return msgspec.json.encode(
            {"type": message.kind, "timestamp": message.happened_at, "data": data}
        )
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": str(message.event_id),
            "source": SOURCE,
            "type": message.kind,
            "subject": message.subject,
            "time": message.happened_at,
            "datacontenttype": TYPES["standard"],
            "data": data,
        }
    )
