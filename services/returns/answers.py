"""What is told of a return."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from services.orders.answers import Money
from services.returns.records import Return

Disposition = Literal["restock", "inspect", "scrap", "vendor"]


class ReturnLineAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a return and what became of its units."""

    number: Annotated[int, Meta(description="Names the line in later calls.")]
    line_id: str
    sku: str
    quantity: Annotated[int, Meta(description="Announced.")]
    reason: str
    disposition: Disposition
    received: int
    restocked: Annotated[int, Meta(description="On sale again.")]
    scrapped: int
    to_vendor: Annotated[int, Meta(description="Sent back to where they were bought.")]
    pending: Annotated[int, Meta(description="In hand, and somebody has to decide.")]
    refund: Annotated[Money | None, Meta(description="None where no price was told.")]


class ExchangeLink(msgspec.Struct, frozen=True, kw_only=True):
    """What the customer gets instead."""

    order_id: str
    allocation_id: UUID


class ReturnAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Goods that come back."""

    return_id: UUID
    order_id: str
    reference: Annotated[str, Meta(description="What the customer writes on the parcel.")]
    state: Literal["announced", "received", "cancelled"]
    node_id: str | None
    version: int
    announced_at: datetime
    received_at: datetime | None
    ended_at: datetime | None
    refund: Annotated[Money, Meta(description="For all that came in and has a price.")]
    exchange: ExchangeLink | None
    lines: list[ReturnLineAnswer]


def told(given: Return, currency: str) -> ReturnAnswer:
    """Return a return as it is told."""
    exchange = None
    if given.exchange_order_id is not None and given.exchange_allocation_id is not None:
        exchange = ExchangeLink(
            order_id=given.exchange_order_id, allocation_id=given.exchange_allocation_id
        )
    fields = {
        name: getattr(given, name)
        for name in ReturnAnswer.__struct_fields__
        if name not in ("refund", "exchange", "lines")
    }
    return ReturnAnswer(
        **fields,
        refund=Money(sum(line.amount_minor or 0 for line in given.lines), currency),
        exchange=exchange,
        lines=[
            ReturnLineAnswer(
                number=line.number,
                line_id=line.line_id,
                sku=line.sku,
                quantity=line.quantity,
                reason=line.reason,
                disposition=line.disposition,  # type: ignore[arg-type]
                received=line.received,
                restocked=line.restocked,
                scrapped=line.scrapped,
                to_vendor=line.to_vendor,
                pending=line.pending,
                refund=None if line.amount_minor is None else Money(line.amount_minor, currency),
            )
            for line in given.lines
        ],
    )
